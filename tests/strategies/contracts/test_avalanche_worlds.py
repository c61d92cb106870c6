"""Every registered strategy on what Avalanche's users train on."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import pytest
import small
import torch
from avalanche.benchmarks import (
    benchmark_from_datasets,
    class_incremental_benchmark,
    new_instances_benchmark,
)
from avalanche.benchmarks.scenarios.online import split_online_stream
from avalanche.benchmarks.scenarios.supervised import with_classes_timeline
from avalanche.benchmarks.scenarios.task_aware import with_task_labels
from avalanche.benchmarks.utils import DataAttribute, as_classification_dataset
from avalanche.benchmarks.utils.classification_dataset import (
    TaskAwareSupervisedClassificationDataset,
)
from avalanche.core import SupervisedPlugin
from families import one_of_each, ways
from torch import nn
from torch.utils.data import Dataset

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.errors import UserError
from cl_strategies.models.heads import GrowingClassifier, MultiHeadModel, SingleHeadModel
from cl_strategies.plugins import LeanEvaluationPlugin, cl_metrics
from cl_strategies.plugins.accelerators.autocast import AutocastPlugin
from cl_strategies.registry import registry

ENTRIES = {entry.name: entry for entry in registry("strategies")}

#: Beside the small ones; the images are of 3 x 8 x 8.
OPTIONS: dict[str, dict[str, Any]] = {
    "agem": {"patterns_per_experience": 8, "sample_size": 8},
    "cim": {"masks": "bilevel", "artifact_interval": 1},
    "mrdc": {"classes": 4},
}


def scenario_of(name: str) -> str:
    """The first scenario that a strategy declares."""
    return ENTRIES[name].scenarios[0]


def has_option(name: str, option: str) -> bool:
    return option in ENTRIES[name].defaults()


def network(scenario: str, head: str = "auto") -> nn.Module:
    """Two convolutions below four outputs, or a head per task."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after, stride in ((3, 4, 1), (4, 8, 2)):
        layers += [nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after), nn.ReLU()]
    backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if scenario == "task":
        return MultiHeadModel(backbone, 8)
    return SingleHeadModel(backbone, GrowingClassifier(8) if head == "growing" else nn.Linear(8, 4))


def build(name: str, model: nn.Module, **template: Any) -> Any:
    options = small.options(name, (3, 8, 8), **OPTIONS.get(name, {}))
    settings = {"train_mb_size": 8, "evaluator": None, **options}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    return ENTRIES[name].load()(model=model, optimizer=optimizer, **{**settings, **template})


def train(strategy: Any, stream: Iterable[Any], **options: Any) -> None:
    if strategy.trains_jointly:
        strategy.train(list(stream), **options)
        return
    for experience in stream:
        strategy.train(experience, **options)


def images(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype)


def stream(scenario: str, dtype: torch.dtype = torch.float32) -> Any:
    """Two experiences of two classes and 16 images."""
    x, y = images(dtype), torch.arange(16) % 2
    parts = [(x, y), (x, y + 2 if scenario == "class" else y)]
    return build_benchmark(parts, parts, name="small", scenario=scenario)


class Samples(Dataset[Any]):
    """The images of :func:`stream` with more elements behind the label."""

    def __init__(self, targets: list[int], *extras: Any) -> None:
        self.x, self.targets, self.extras = images(), targets, extras

    def __getitem__(self, row: int) -> tuple[Any, ...]:
        return (self.x[row % 16], self.targets[row], *self.extras)

    def __len__(self) -> int:
        return len(self.targets)


def stream_of_samples_with(scenario: str, *extras: Any) -> Any:
    """As :func:`stream`, but each sample is input, label, ``extras``, a weight and task label."""
    parts = []
    for task in (0, 1):
        targets = [row % 2 + (2 * task if scenario == "class" else 0) for row in range(16)]
        labels = [task if scenario == "task" else 0] * 16
        attributes = [
            DataAttribute(targets, "targets"),
            DataAttribute([0.5] * 16, "weight", use_in_getitem=True),
            DataAttribute(labels, "targets_task_labels", use_in_getitem=True),
        ]
        data = Samples(targets, *extras)
        parts.append(TaskAwareSupervisedClassificationDataset([data], data_attributes=attributes))
    plain = benchmark_from_datasets(train=parts, test=parts)
    return with_classes_timeline(with_task_labels(plain))


class Count(SupervisedPlugin):
    """Counts training iterations."""

    def __init__(self) -> None:
        super().__init__()
        self.iterations = 0

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.iterations += 1


NAMES = list(ENTRIES)
SINGLE_HEAD = [name for name in NAMES if {"class", "domain"} & set(ENTRIES[name].scenarios)]


@pytest.mark.parametrize("name", NAMES)
def test_an_untrained_network_can_be_evaluated_before_and_within_training(name):
    benchmark, metrics = stream(scenario_of(name)), cl_metrics()
    strategy = build(
        name, network(scenario_of(name)), eval_every=1, evaluator=LeanEvaluationPlugin(metrics)
    )

    strategy.eval(benchmark.test_stream)
    train(strategy, benchmark.train_stream, eval_streams=[benchmark.test_stream])

    initial = metrics[0].initial
    assert initial.shape == (2,) and ((initial >= 0) & (initial <= 1)).all()


@pytest.mark.parametrize("name", [name for name in NAMES if "class" in ENTRIES[name].scenarios])
def test_evaluation_before_training_rules_in_the_classes_of_any_experience(name):
    """The last experience has not the largest class id."""
    x, y = images(), torch.arange(16) % 2
    parts = [(x, y + 2), (x, y)]
    benchmark = build_benchmark(parts, parts, name="small", scenario="class")
    head = "auto" if name in ("alignq", "lifequant") else "growing"
    strategy = build(name, network("class", head), eval_every=1)
    train(strategy, benchmark.train_stream, eval_streams=[benchmark.test_stream])


def worked_or_said_why_before_training(run: Any, counter: Count, names: tuple[str, ...]) -> bool:
    """Whether ``run`` worked; a refusal must come first and contain one of ``names``."""
    try:
        run()
    except UserError as error:
        assert counter.iterations == 0
        assert any(part in str(error) for part in names), error
        return False
    return counter.iterations > 0


@pytest.mark.parametrize(("name", "boundaries"), ways(NAMES, False, True))
def test_an_online_stream_is_learned_or_refused_before_training(name, boundaries):
    scenario, counter = scenario_of(name), Count()
    head = "growing" if scenario == "class" else "auto"
    benchmark = stream(scenario)
    if name in ("alignq", "lifequant"):  # quantise a layer that stays
        head = "auto"
    strategy = build(name, network(scenario, head), plugins=[counter])
    parts = split_online_stream(
        benchmark.train_stream, experience_size=6, access_task_boundaries=boundaries
    )

    worked = worked_or_said_why_before_training(
        lambda: train(strategy, parts), counter, ("split_online_stream",)
    )

    refused = bool(strategy.needs_whole_experiences) or name == "gpm"
    assert worked != refused
    if worked:
        assert counter.iterations >= 4
        strategy.eval(benchmark.test_stream)
        assert strategy.model(images()).shape == (16, 4)


MULTI_HEAD = [name for name in NAMES if "task" in ENTRIES[name].scenarios]


@pytest.mark.parametrize("name", one_of_each(MULTI_HEAD))
def test_a_head_per_task_reads_its_task_label_off_the_samples_of_an_online_stream(name):
    benchmark, counter = stream("task"), Count()
    strategy = build(name, network("task"), plugins=[counter])
    parts = split_online_stream(benchmark.train_stream, experience_size=8)

    worked = worked_or_said_why_before_training(
        lambda: train(strategy, parts), counter, ("split_online_stream",)
    )

    if worked:
        strategy.eval(benchmark.test_stream)
        heads = strategy.model.head.heads
        assert {task: head.out_features for task, head in heads.items()} == {"0": 2, "1": 2}


def unlabeled(kind: str) -> Any:
    """Benchmarks without task labels; the last two do not name their classes either."""
    data = as_classification_dataset(Samples([row % 4 for row in range(16)]))
    if kind == "classes":
        return class_incremental_benchmark({"train": data, "test": data}, num_experiences=2)
    if kind == "instances":
        return new_instances_benchmark(data, data, num_experiences=2, balance_experiences=True)
    parts = [data.subset([i for i in range(16) if i % 4 // 2 == part]) for part in (0, 1)]
    return benchmark_from_datasets(train=parts, test=parts)


@pytest.mark.parametrize(("name", "kind"), ways(SINGLE_HEAD, "datasets", "classes", "instances"))
def test_a_single_head_needs_no_task_labels(name, kind):
    if kind == "instances" and "domain" not in ENTRIES[name].scenarios:
        pytest.skip("needs new classes in each experience")
    benchmark, counter = unlabeled(kind), Count()
    strategy = build(name, network("class"), plugins=[counter])

    train(strategy, benchmark.train_stream)
    strategy.eval(benchmark.test_stream)

    assert counter.iterations > 0
    assert all(parameter.isfinite().all() for parameter in strategy.model.parameters())


@pytest.mark.parametrize("name", MULTI_HEAD)
def test_a_head_per_task_without_task_labels_is_refused_before_training(name):
    counter = Count()
    strategy = build(name, network("task"), plugins=[counter])
    with pytest.raises(UserError, match="no task labels"):
        train(strategy, unlabeled("datasets").train_stream)
    with pytest.raises(UserError, match="no task labels"):
        strategy.eval(unlabeled("datasets").test_stream)
    assert counter.iterations == 0


@pytest.mark.parametrize("name", one_of_each(NAMES))
def test_samples_may_hold_more_than_input_label_and_task_label(name):
    """A tensor, a nest and a text, each in its place behind the label."""
    extras = (torch.ones(3), {"age": 3, "place": "here"}, "note")
    benchmark = stream_of_samples_with(scenario_of(name), *extras)
    counter = Count()
    strategy = build(name, network(scenario_of(name)), plugins=[counter])

    train(strategy, benchmark.train_stream)
    strategy.eval(benchmark.test_stream)

    assert counter.iterations > 0


@pytest.mark.parametrize("name", one_of_each(NAMES))
def test_a_model_and_images_of_half_precision_are_trained_as_they_are(name):
    scenario = scenario_of(name)
    benchmark = stream(scenario, torch.bfloat16)
    strategy = build(name, network(scenario).to(torch.bfloat16))

    train(strategy, benchmark.train_stream)
    strategy.eval(benchmark.test_stream)

    model = strategy.model.eval()
    x = images(torch.bfloat16)
    with torch.no_grad():
        logits = model(x, 0) if scenario == "task" else model(x)
    assert logits.dtype == torch.bfloat16 and logits.isfinite().all()
    weights = [p for name, p in model.named_parameters() if p.ndim > 1]
    assert weights and all(weight.dtype == torch.bfloat16 for weight in weights)


@pytest.mark.parametrize(("name", "within"), ways(NAMES, "forward", "everything"))
def test_autocast_trains_finite_weights_in_single_precision(name, within):
    scenario, whole = scenario_of(name), within == "everything"
    benchmark = stream(scenario)
    plugins = [] if whole else [AutocastPlugin()]
    strategy = build(name, network(scenario), plugins=plugins)

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=whole):
        train(strategy, benchmark.train_stream)
        strategy.eval(benchmark.test_stream)

    for parameter in strategy.model.parameters():
        assert parameter.dtype == torch.float32 and parameter.isfinite().all()


def plain_network() -> nn.Module:
    """As a user writes it: nothing of this package in it."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4))


@pytest.mark.parametrize(("name", "made_by"), ways(NAMES, "package", "user"))
def test_a_strategy_leaves_the_users_model_what_it_was(name, made_by):
    scenario = scenario_of(name)
    if made_by == "user" and scenario == "task":
        pytest.skip("a head per task is not a plain network")
    model = plain_network() if made_by == "user" else network(scenario)
    before = copy.deepcopy(model).eval()
    options = {"layer": "2"} if name == "pfr" and made_by == "user" else {}

    strategy = build(name, model, **options)

    part, same = (model.backbone, before.backbone) if scenario == "task" else (model, before)
    x = images()
    assert torch.equal(part.eval()(x), same(x))
    assert model.state_dict().keys() == before.state_dict().keys()
    assert [type(m) for m in model.modules()] == [type(m) for m in before.modules()]

    train(strategy, stream(scenario).train_stream)
    assert [type(m) for m in part.modules()] == [type(m) for m in same.modules()]
    assert part.eval()(x).shape == same(x).shape


@pytest.mark.parametrize("name", NAMES)
def test_labels_that_are_names_are_refused_before_training(name):
    scenario, counter = scenario_of(name), Count()
    data = as_classification_dataset(Samples(["cat", "dog"] * 8))
    benchmark = benchmark_from_datasets(train=[data], test=[data])
    strategy = build(name, network(scenario), plugins=[counter])
    with pytest.raises(UserError, match="'(cat|dog)' is not a class id"):
        train(strategy, benchmark.train_stream)
    assert counter.iterations == 0


@pytest.mark.parametrize(("name", "kind"), ways(SINGLE_HEAD, torch.uint8, torch.bool, torch.int8))
def test_labels_may_be_of_any_integer_type(name, kind):
    data = as_classification_dataset(Samples(torch.tensor([0, 1] * 8).to(kind)))
    benchmark = benchmark_from_datasets(train=[data], test=[data])
    strategy = build(name, network("class"))
    train(strategy, benchmark.train_stream)
    strategy.eval(benchmark.test_stream)


@pytest.mark.parametrize("targets", [[torch.tensor([0])] * 16, [None] * 16, torch.eye(2)[[0] * 16]])
def test_labels_that_are_no_class_ids_are_refused_in_words(targets):
    data = as_classification_dataset(Samples(targets))
    benchmark = benchmark_from_datasets(train=[data], test=[data])
    with pytest.raises(UserError, match="class id"):
        train(build("naive", network("class")), benchmark.train_stream)
    if not isinstance(targets[0], torch.Tensor) or len(targets[0]) > 1:
        with pytest.raises(UserError, match="class id"):
            build_benchmark([Samples(targets)], [Samples(targets)], name="t", scenario="class")


EXEMPLARS = [
    name
    for name in SINGLE_HEAD
    if has_option(name, "mem_bytes") and name not in ("compressed-replay", "cim")
]


@pytest.mark.parametrize("kind", ["new instances", "data sets"])
@pytest.mark.parametrize("name", EXEMPLARS)
def test_a_stream_without_new_classes_is_refused_before_its_first_experience(name, kind):
    data, counter = as_classification_dataset(Samples([0, 1] * 8)), Count()
    if kind == "data sets":
        benchmark = benchmark_from_datasets(train=[data, data], test=[data])
    else:
        benchmark = new_instances_benchmark(data, data, num_experiences=2)
    strategy = build(name, network("class"), plugins=[counter])
    with pytest.raises(UserError, match="experience 1 has no new class"):
        train(strategy, benchmark.train_stream)
    assert counter.iterations == 0

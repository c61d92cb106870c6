"""Every registered benchmark, in every form it supports, keeps the stream contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import (
    DataAttribute,
    TransformGroups,
    as_classification_dataset,
)
from torch.utils.data import TensorDataset

from cl_strategies.benchmarks import build_benchmark, contract_violations, load
from cl_strategies.benchmarks.datasets.published import what_is_located
from cl_strategies.registry import registry

OURS = {
    "split-digits",
    "permuted-digits",
    "rotated-digits",
    "split-fashion-mnist",
    "permuted-fashion-mnist",
    "split-mnist",
    "permuted-mnist",
    "split-cifar10",
    "split-cifar100",
    "split-cifar10-100",
    "split-tiny-imagenet",
    "task-digits",
    "task-fashion-mnist",
    "task-tiny-imagenet",
    "five-datasets-offline",
    "five-datasets",
    "cifar100-split",
    "cifar100-superclass",
    "p-mnist",
    "omniglot-rotation",
    "task-cifar10-100",
    "task-tiny-imagenet-224",
}
#: Streams in all their forms; of the others one form is short, and all go over the same builder.
SHORT = {"split-digits", "permuted-digits", "online-split-digits", "blurry-split-digits"}
#: Those of own data, which need some, are in tests/benchmarks/own.
READY = [entry for entry in registry("benchmarks") if "path" not in entry.parameters()]
FORMS = [(entry.name, form) for entry in READY for form in entry.scenarios]


def test_the_documented_benchmarks_are_registered() -> None:
    assert {entry.name for entry in registry("benchmarks")} >= OURS


@pytest.mark.parametrize(
    ("name", "scenario"),
    [
        pytest.param(name, scenario, marks=() if name in SHORT or first else pytest.mark.slow)
        for name, scenario in FORMS
        for first in [scenario == registry("benchmarks")[name].scenarios[0]]
    ],
)
def test_every_registered_benchmark_keeps_the_contract(
    name: str, scenario: str, data_root: str
) -> None:
    with what_is_located() as located:
        benchmark = load(name, scenario=scenario, data_root=data_root, order=3)
    assert contract_violations(benchmark) == []
    read = {dataset.name for dataset, _ in located} - {"digits"}
    declared = registry("benchmarks")[name].datasets
    assert len(read) == len(declared)
    assert all(read & {*alternatives.split("|")} for alternatives in declared)
    assert benchmark.info.name == name
    assert benchmark.info.scenario == scenario


@pytest.mark.parametrize(("name", "scenario"), FORMS)
def test_every_registered_benchmark_has_the_common_options(name: str, scenario: str) -> None:
    options = registry("benchmarks")[name].defaults()
    assert options.keys() >= {"n_experiences", "order", "fraction", "validation", "data_root"}
    assert (options["order"], options["fraction"], options["validation"]) == (None, 1.0, 0.0)


@pytest.mark.parametrize("name", sorted(OURS))
def test_making_a_stream_leaves_the_global_generators_alone_and_repeats(
    name: str, data_root: str, digest: Callable[[Any], str], global_rngs: Callable[[], Any]
) -> None:
    options = {"order": 7, "fraction": 0.5, "data_root": data_root, "n_experiences": 4}
    before = global_rngs()
    first = load(name, **options)
    assert global_rngs() == before
    torch.manual_seed(99)
    assert digest(load(name, **options)) == digest(first)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("split-digits", "755a70f9857b634235b590e407737577cb723934db665a2c7526e2ddb73d6136"),
        ("permuted-digits", "3b43507a6b1e7089486d11588dffa444f27a4dc8e5d10415a05c536bd5bf996c"),
        ("rotated-digits", "8068701f401a6540ca8f523e5515dda94c214849ae1d5a9ef366de043f5f2abf"),
    ],
)
def test_a_stream_is_the_same_on_every_machine(
    name: str, expected: str, digest: Callable[[Any], str]
) -> None:
    benchmark = load(name, n_experiences=3, order=1, fraction=0.3, validation=0.2)
    assert digest(benchmark) == expected


def tiny() -> Any:
    x = torch.linspace(0, 1, 2 * 6 * 4).reshape(2, 6, 1, 2, 2)
    y = torch.tensor([0, 0, 1, 1, 0, 1])
    pieces = [(x[0], y), (x[1], y + 2)]
    return build_benchmark(pieces, pieces, name="tiny", scenario="class")


def _set_sample_ids(experience: Any, ids: list[int]) -> None:
    experience.dataset.sample_ids = DataAttribute(ids, "sample_ids")


BREAKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no info": (lambda b: setattr(b, "info", None), "benchmark.info"),
    "classes as a set": (
        lambda b: setattr(b.train_stream[0], "classes_in_this_experience", {0, 1}),
        "not a list of int",
    ),
    "wrong classes": (
        lambda b: setattr(b.test_stream[1], "classes_in_this_experience", [0, 1]),
        "dataset.targets holds [2, 3]",
    ),
    "wrong task label": (
        lambda b: setattr(b.train_stream[1], "task_labels", [1]),
        "task_labels is [1], expected [0]",
    ),
    "no benchmark": (lambda b: delattr(b.train_stream[0], "benchmark"), "has no benchmark"),
    "ids twice": (lambda b: _set_sample_ids(b.train_stream[1], list(range(6))), "not unique"),
    "empty": (
        lambda b: setattr(b.test_stream[0], "dataset", b.test_stream[0].dataset.subset([])),
        "the data set is empty",
    ),
    "nan": (
        lambda b: b.train_stream[0].dataset[0][0].fill_(float("nan")),
        "not a finite floating-point tensor",
    ),
    "another shape": (
        lambda b: setattr(b, "info", dataclasses.replace(b.info, input_shape=(3, 2, 2))),
        "x has shape (1, 2, 2)",
    ),
    "too few logits": (
        lambda b: setattr(b, "info", dataclasses.replace(b.info, n_classes=3)),
        "not within the 3 logits",
    ),
    "an experience less": (
        lambda b: setattr(b, "test_stream", b.test_stream[:1]),
        "test: 1 experiences, info names 2",
    ),
}


def test_a_conforming_third_party_stream_has_no_violations() -> None:
    assert contract_violations(tiny()) == []


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_stream_is_reported(what: str) -> None:
    break_it, message = BREAKS[what]
    benchmark = tiny()
    break_it(benchmark)
    assert any(message in line for line in contract_violations(benchmark))


def test_avalanches_own_class_incremental_benchmark_is_reported_and_can_be_mended() -> None:
    x, y = torch.rand(8, 1, 2, 2), torch.tensor([0, 1] * 4)
    data = []
    for shift in (0, 2):
        source = TensorDataset(x, y + shift)
        source.targets = (y + shift).tolist()
        data.append(as_classification_dataset(source))
    theirs = benchmark_from_datasets(train=data, test=data)
    assert contract_violations(theirs) != []
    mended = build_benchmark(
        [experience.dataset for experience in theirs.train_stream],
        [experience.dataset for experience in theirs.test_stream],
        name="mended",
        scenario="class",
    )
    assert contract_violations(mended) == []


def test_avalanche_data_sets_keep_their_transforms_when_they_are_relabeled() -> None:
    source = TensorDataset(torch.ones(4, 1, 2, 2), torch.tensor([5, 7, 5, 7]))
    source.targets = [5, 7, 5, 7]
    data = as_classification_dataset(
        source, TransformGroups({"train": lambda x: x * 2, "eval": lambda x: x * 3})
    )
    benchmark = build_benchmark([data, data], [data, data], name="relabeled", scenario="task")
    assert contract_violations(benchmark) == []
    dataset = benchmark.train_stream[1].dataset
    assert [(float(x.max()), y, t) for x, y, t in (dataset[0], dataset[1])] == [
        (2.0, 0, 1),
        (2.0, 1, 1),
    ]
    assert dataset.eval()[3][0].max() == 3
    assert benchmark.test_stream[0].dataset[0][0].max() == 3
    assert benchmark.info.task_classes == ((5, 7), (5, 7))


def test_plain_data_sets_with_targets_take_transforms_and_chosen_classes() -> None:
    source = TensorDataset(torch.ones(4, 1, 2, 2), torch.tensor([0, 1, 2, 3]))
    source.targets = [0, 1, 2, 3]
    benchmark = build_benchmark(
        [source, source],
        [source, source],
        name="plain",
        scenario="domain",
        classes=[[3, 1], [0, 2]],
        transforms=(lambda x: x + 1, lambda x: x - 1),
    )
    assert contract_violations(benchmark) == []
    assert list(benchmark.train_stream[0].dataset.targets) == [1, 0]
    assert list(benchmark.train_stream[0].dataset.sample_ids) == [1, 3]
    assert benchmark.train_stream[0].dataset[0][0].max() == 2
    assert benchmark.test_stream[0].dataset[0][0].max() == 0

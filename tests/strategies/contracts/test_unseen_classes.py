"""Outputs of classes that have not come yet: one rule for every strategy and every head."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import small
import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import MultiTaskModule
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.templates import SupervisedTemplate
from families import ways
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.capture import capture_state, restore_state
from cl_strategies.models.heads import GrowingClassifier
from cl_strategies.plugins import SeenClassesPlugin
from cl_strategies.plugins.classes.class_order import ABSENT, ArrivalOrder
from cl_strategies.plugins.classes.seen_classes import unseen_ruled_out
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.method import index_loss
from cl_strategies.registry import registry
from cl_strategies.strategies import Naive

CASES = [(e.name, s) for e in registry("strategies") for s in e.scenarios if s != "domain"]
# Near the prior from the start, whose divergence is otherwise most of the loss.
OPTIONS = {"vcl": {"initial_log_variance": -3.0, "prior_variance": 0.05}}


def stream(scenario: str = "class") -> Any:
    """Such that the classes of the first experience are not the first ids."""
    factory = registry("benchmarks")["split-digits"].load()
    return factory(n_experiences=5, scenario=scenario, fraction=0.3, order=[3, 0, 4, 1, 2])


def build(name: str, info: Any, *, head: str = "auto", **template: Any) -> Any:
    model = small.model(name, info, head=head)
    return registry("strategies")[name].load()(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        train_mb_size=64,
        device="cpu",
        evaluator=EvaluationPlugin(loggers=[]),
        **small.options(name, info.input_shape, **{**OPTIONS.get(name, {}), **template}),
    )


class Watch(SupervisedPlugin):
    """Notes the gradient of the loss with respect to the rows of a wide head, each step."""

    def __init__(self) -> None:
        super().__init__()
        self.pushed: set[int] = set()

    def after_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        layer = strategy.model.head
        for gradient in (layer.weight.grad, layer.bias.grad[:, None]):
            self.pushed |= set(gradient.any(1).nonzero().flatten().tolist())


def heads(strategy: Any) -> list[tuple[nn.Module, int]]:
    """Every classifier in a strategy's model, with how many classes it has units for."""
    found: list[tuple[nn.Module, int]] = []
    for module in strategy.model.modules():
        if isinstance(module, GrowingClassifier):
            found.append((module, module.out_features))
        elif isinstance(module, Classifier):
            found.append((module, module.n_classes))
    return found


@pytest.mark.parametrize(("name", "scenario"), CASES)
def test_outputs_of_unseen_classes_are_neither_trained_nor_predicted(name, scenario):
    benchmark, watch = stream(scenario), Watch()
    strategy = build(name, benchmark.info)
    wide = scenario == "class" and isinstance(getattr(strategy.model, "head", None), nn.Linear)
    if wide:
        strategy.plugins.append(watch)
    joint = getattr(strategy, "trains_jointly", False)
    train = list(benchmark.train_stream)
    seen = set(benchmark.info.task_order) if joint else set(train[0].classes_in_this_experience)
    strategy.train(train if joint else train[0])

    assert wide or heads(strategy)
    if wide and not joint:
        assert watch.pushed == seen == {6, 7}
    width = benchmark.info.n_classes if joint else len(seen)
    assert all(units == width for _, units in heads(strategy)) or scenario == "task"
    if scenario == "task":  # two classes per task, whatever their ids
        assert {units for _, units in heads(strategy)} == {2}
    else:
        predicted: set[int] = set()
        gather = Gather(predicted)
        strategy.plugins.append(gather)
        strategy.eval(benchmark.test_stream)
        assert predicted <= set(range(10)) if joint else predicted <= seen


class Gather(SupervisedPlugin):
    """Collects the predictions of an evaluation."""

    def __init__(self, predicted: set[int]) -> None:
        super().__init__()
        self.predicted = predicted

    def after_eval_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.predicted |= set(strategy.mb_output.argmax(1).tolist())


@pytest.mark.parametrize("masks", ["bilevel", "joint"])
def test_masks_train_no_output_of_an_unseen_class(masks: str) -> None:
    benchmark, watch = stream(), Watch()
    model = registry("models")["small-resnet"].load()(
        input_shape=benchmark.info.input_shape,
        n_classes=10,
        scenario="class",
        channels=(4, 6),
        stem_stride=1,
    )
    strategy = registry("strategies")["cim"].load()(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05),
        train_mb_size=32,
        evaluator=None,
        mem_bytes=5_000,
        masks=masks,
        plugins=[watch],
    )
    judged: set[int] = set()

    def note(layer: nn.Module, inputs: Any, scores: torch.Tensor) -> None:
        if scores.requires_grad:
            scores.register_hook(lambda g: judged.update(g.any(0).nonzero().flatten().tolist()))

    handle = model.head.register_forward_hook(note)
    strategy.train(benchmark.train_stream[0])
    handle.remove()
    assert watch.pushed == {6, 7}
    assert judged == {6, 7}


def test_all_outputs_can_be_trained_from_the_start():
    benchmark, watch = stream(), Watch()
    strategy = build("naive", benchmark.info, plugins=[watch], unseen_classes="train")
    strategy.train(benchmark.train_stream[0])
    assert watch.pushed == set(range(10))
    with pytest.raises(UserError, match="unknown unseen_classes 'forget'.*mask, train"):
        build("naive", benchmark.info, unseen_classes="forget")


SINGLE_HEAD = [n for n, s in CASES if s == "class" and n not in ("lifequant", "joint")]


class Losses(SupervisedPlugin):
    """Notes every loss of a training."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float] = []

    def after_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.values.append(strategy.loss.item())


@pytest.mark.parametrize(("name", "head"), ways(SINGLE_HEAD, "auto", "growing"))
def test_smoothed_and_weighted_losses_are_over_the_classes_seen(name: str, head: str) -> None:
    """Any part of the target on a class that is ruled out would cost 1,000 times that part."""
    benchmark, losses = stream(), Losses()
    criterion = nn.CrossEntropyLoss(weight=torch.linspace(0.5, 1.5, 10), label_smoothing=0.1)
    strategy = build(name, benchmark.info, head=head, criterion=criterion, plugins=[losses])
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience)
    strategy.eval(benchmark.test_stream[0])
    assert max(losses.values) < 20


def test_class_weights_follow_class_ids_where_units_follow_arrival() -> None:
    arrival = ArrivalOrder([2, 0, 1])
    scores, units = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 25.0]))
    strategy = SimpleNamespace(
        _criterion=criterion, model=SimpleNamespace(arrival=arrival, order=arrival.classes)
    )
    right = criterion(scores[:, [1, 2, 0]], torch.tensor([2, 0, 1, 2, 0]))
    torch.testing.assert_close(index_loss(strategy, scores, units), right)


def test_a_plugin_among_the_users_decides_and_precedes_the_others():
    benchmark, given = stream(), SeenClassesPlugin(unseen_classes="train")
    strategy = build("ewc", benchmark.info, plugins=[Watch(), given])
    assert strategy.plugins[1] is strategy.seen_classes is given
    assert sum(isinstance(p, SeenClassesPlugin) for p in strategy.plugins) == 1


def test_a_plain_avalanche_strategy_has_the_rule_by_a_plugin():
    benchmark, watch, seen = stream(), Watch(), SeenClassesPlugin()
    model = build("naive", benchmark.info).model
    strategy = SupervisedTemplate(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05),
        train_mb_size=64,
        plugins=[seen, watch],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    strategy.train(benchmark.train_stream[0])
    assert watch.pushed == {6, 7} and seen.seen() == [6, 7]
    strategy.train(benchmark.train_stream[1])
    assert watch.pushed == {6, 7, 0, 1}


@pytest.mark.parametrize("name", ["ewc", "mas", "scp", "rwalk"])
def test_importances_know_no_unseen_class(name):
    benchmark = stream()
    strategy = build(name, benchmark.info)
    strategy.train(benchmark.train_stream[0])
    plugin = strategy.plugins[0]
    if name == "rwalk":
        importance = plugin.iter_importance["head.weight"].data
    else:
        importance = plugin.surrogate.named("importance")["head.weight"]
    assert importance.any(1).nonzero().flatten().tolist() == [6, 7]


def test_the_reference_gradient_of_agem_knows_no_unseen_class():
    benchmark, found = stream(), []
    strategy = build("agem", benchmark.info)

    class Note(SupervisedPlugin):
        def before_forward(self, strategy: Any, **kwargs: Any) -> None:
            found.append(strategy.plugins[0].reference_gradients[-10:])

    strategy.plugins.append(Note())
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience)
    assert found[-1].nonzero().flatten().tolist() == [0, 1, 6, 7]


def test_stored_logits_of_unseen_classes_are_not_kept_to():
    benchmark, watch = stream(), Watch()
    strategy = build("dark-er", benchmark.info, alpha=1.0, beta=0.0)
    strategy.plugins.append(watch)
    strategy.train(benchmark.train_stream[0])
    stored = torch.stack([sample[-1] for sample in strategy.storage_policy.buffer])
    assert (stored > ABSENT).any(0).nonzero().flatten().tolist() == [6, 7]
    strategy.train(benchmark.train_stream[1])
    assert watch.pushed == {6, 7, 0, 1}
    assert all(p.abs().max() < 50 for p in strategy.model.parameters())


class WideHeads(MultiTaskModule):
    """Two heads for ten classes each, as a user may write them."""

    def __init__(self) -> None:
        super().__init__()
        self.max_class_label = 10
        self.heads = nn.ModuleList([nn.Linear(64, 10) for _ in range(5)])

    def forward_single_task(self, x: torch.Tensor, task_label: int) -> torch.Tensor:
        return self.heads[task_label](x.flatten(1))


def test_with_task_labels_classes_are_counted_for_each_task():
    benchmark, model = stream("task"), WideHeads()
    before = [head.weight.detach().clone() for head in model.heads]
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=64,
        evaluator=None,
    )
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience)
    moved = [
        (head.weight != old).any(1).nonzero().flatten().tolist()
        for head, old in zip(model.heads, before, strict=True)
    ]
    assert moved == [[0, 1], [], [], [0, 1], []]
    predicted: set[int] = set()
    strategy.plugins.append(Gather(predicted))
    strategy.eval(benchmark.test_stream[:2])
    assert predicted <= {0, 1}
    strategy.eval(benchmark.test_stream[4])  # never trained: nothing is ruled out
    assert len(predicted) > 2


def test_every_call_within_the_context_rules_unseen_classes_out():
    benchmark = stream()
    strategy = build("naive", benchmark.info)
    x = torch.rand(3, *benchmark.info.input_shape)
    with unseen_ruled_out(strategy):
        assert (strategy.model.eval()(x) > ABSENT).all()  # before any training: chance
    strategy.train(benchmark.train_stream[0])
    with unseen_ruled_out(strategy):
        logits = strategy.model(x)
    assert (logits > ABSENT).any(0).nonzero().flatten().tolist() == [6, 7]
    assert (strategy.model(x) > ABSENT).all()


def test_labels_decide_where_an_experience_does_not_say_its_classes():
    benchmark = stream()
    experience = benchmark.train_stream[0]
    seen = SeenClassesPlugin()
    seen.before_training_exp(
        SimpleNamespace(
            experience=SimpleNamespace(), plugins=[seen], adapted_dataset=experience.dataset
        )
    )
    assert seen.seen() == seen.seen(0) == [6, 7]


@pytest.mark.parametrize("name", ["naive", "single-task"])
def test_what_was_seen_is_resumed(name):
    benchmark = stream()
    strategy, resumed = (build(name, benchmark.info) for _ in range(2))
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience)
    restore_state(
        resumed, capture_state(strategy), experiences_seen=list(benchmark.train_stream[:2])
    )
    outputs = []
    for one in (strategy, resumed):
        predicted: set[int] = set()
        one.plugins.append(Gather(predicted))
        one.eval(benchmark.test_stream[0])
        outputs.append((predicted, one.seen_classes.seen()))
    assert outputs[0] == outputs[1]
    assert outputs[0][0] <= ({6, 7} if name == "single-task" else {6, 7, 0, 1})

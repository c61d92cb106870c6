"""Plugins that put back an earlier state of the model while, or after, an experience is trained."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import small
import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training.plugins import EarlyStoppingPlugin, EvaluationPlugin, SupervisedPlugin
from families import one_of_each
from torch import nn

from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.registry import registry
from cl_strategies.strategies import HALRP, Naive
from cl_strategies.strategies.templates.task_model import TaskModelStrategy

NAMES = [entry.name for entry in registry("strategies")]
KINDS: list[Any] = [entry.load() for entry in registry("strategies")]
TASK_MODELS = [kind for kind in KINDS if issubclass(kind, TaskModelStrategy)]

OPTIONS = {"halrp": {"warmup_epochs": 2}}


def stream(scenario: str = "task") -> Any:
    return split_digits(n_experiences=3, scenario=scenario, fraction=0.1)


def build(kind: Any, benchmark: Any, plugins: list[Any], **options: Any) -> Any:
    name = small.name_of(kind)
    model = small.model(name, benchmark.info)
    return kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=16,
        plugins=plugins,
        evaluator=EvaluationPlugin(accuracy_metrics(stream=True), loggers=[]),
        **{"train_epochs": 4, **options},
    )


def same(first: Any, second: Any) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) if torch.is_tensor(value) else value == second[name]
        for name, value in first.items()
    )


class Evaluate(SupervisedPlugin):
    """Measures the whole test stream after each epoch."""

    def __init__(self, benchmark: Any) -> None:
        super().__init__()
        self.benchmark = benchmark

    def after_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        strategy.eval(self.benchmark.test_stream)


class AtTheStop(SupervisedPlugin):
    """Whether the model has the best state each time that training is stopped."""

    def __init__(self, stopping: EarlyStoppingPlugin) -> None:
        super().__init__()
        self.stopping = stopping
        self.best: list[bool] = []

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        if strategy._stop_training:
            self.best.append(same(strategy.model.state_dict(), self.stopping.best_state))


@pytest.mark.parametrize("name", one_of_each(NAMES))
def test_early_stopping_ends_with_the_best_state(name: str) -> None:
    entry = registry("strategies")[name]
    benchmark = stream("task" if entry.scenarios == ("task",) else entry.scenarios[0])
    # The best of "min" is the untrained start, so that every experience is stopped early.
    stopping = EarlyStoppingPlugin(1, "test_stream", "Top1_Acc_Stream", mode="min")
    watch = AtTheStop(stopping)
    plugins = [Evaluate(benchmark), stopping, watch]
    options = small.options(name, benchmark.info.input_shape, **OPTIONS.get(name, {}))
    strategy = build(entry.load(), benchmark, plugins, **options)
    if getattr(strategy, "trains_jointly", False):
        strategy.train(list(benchmark.train_stream))
    else:
        for experience in benchmark.train_stream[:2]:
            strategy.train(experience)
    assert watch.best and all(watch.best)
    strategy.eval(benchmark.test_stream)


def test_a_stop_within_the_last_epoch_does_not_stop_the_next_experience() -> None:
    class Stop(SupervisedPlugin):
        def __init__(self) -> None:
            super().__init__()
            self.iterations: list[int] = []

        def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            self.iterations.append(0)

        def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            self.iterations[-1] += 1
            strategy.stop_training()

    stop, benchmark = Stop(), stream()
    build(Naive, benchmark, [stop], train_epochs=1).train(benchmark.train_stream)
    assert stop.iterations == [1, 1, 1]


class FirstEpoch(SupervisedPlugin):
    """Puts back the state after the first epoch: before another, or after the last."""

    def __init__(self, epoch: int | None = None) -> None:
        super().__init__()
        self.epoch = epoch
        self.state: dict[str, Any] = {}

    def after_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        if strategy.clock.train_exp_epochs == 0:
            self.state = copy.deepcopy(strategy.model.state_dict())

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        if strategy.clock.train_exp_epochs == self.epoch:
            strategy.model.load_state_dict(self.state)

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        if self.epoch is None:
            strategy.model.load_state_dict(self.state)


@pytest.mark.parametrize("name", ["foster", "der-expandable", "wa", "bic"])
def test_a_state_that_would_undo_the_last_work_of_a_method_is_refused_in_words(name: str) -> None:
    benchmark = stream("class")
    strategy = build(registry("strategies")[name].load(), benchmark, [FirstEpoch()], train_epochs=1)
    with pytest.raises(UserError, match="within the epochs"):
        strategy.train(benchmark.train_stream[0])


@pytest.mark.parametrize("kind", TASK_MODELS)
def test_a_state_that_is_put_back_after_the_last_epoch_is_what_the_task_keeps(kind: Any) -> None:
    benchmark = stream()
    # Both draw the same mini-batches in the first epoch, after which one of them stops.
    restored = train(kind, benchmark, FirstEpoch(), epochs=3)
    stopped = train(kind, benchmark, FirstEpoch(), epochs=1)
    x = torch.stack([image for image, *_ in benchmark.test_stream[1].dataset.eval()])
    with torch.no_grad():
        assert torch.equal(restored.model.eval()(x, 1), stopped.model.eval()(x, 1))
    assert restored.model.current is None


def train(kind: Any, benchmark: Any, plugin: Any, *, epochs: int) -> Any:
    torch.manual_seed(0)
    strategy = build(kind, benchmark, [plugin], train_epochs=epochs)
    for position, experience in enumerate(benchmark.train_stream[:2]):
        torch.manual_seed(position)
        strategy.train(experience)
    return strategy


def test_training_goes_on_from_a_warm_up_that_is_put_back_in_the_fine_tuning() -> None:
    class Experiences(SupervisedPlugin):
        def __init__(self) -> None:
            super().__init__()
            self.warming: list[bool] = []
            self.moved: list[bool] = []

        def before_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            self.before = [p.detach().clone() for p in self.own(strategy)]

        def after_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            pairs = zip(self.own(strategy), self.before, strict=True)
            self.moved.append(all(not torch.equal(p, old) for p, old in pairs if p.numel()))

        def before_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            self.warming.append(strategy.model.warming_up)

        def own(self, strategy: Any) -> list[Any]:
            return strategy.model.parameters_of(strategy.model.current)

    benchmark, experiences = stream(), Experiences()
    strategy = build(HALRP, benchmark, [FirstEpoch(epoch=2), experiences], train_epochs=5)
    strategy.train(benchmark.train_stream[0])
    experiences.warming, experiences.moved = [], []
    strategy.train(benchmark.train_stream[1])
    steps = len(experiences.warming) // 5
    # The state of the warm-up comes back before the third epoch, and is decomposed after it.
    by_epoch = [set(experiences.warming[i * steps : (i + 1) * steps]) for i in range(5)]
    assert by_epoch == [{True}, {False}, {True}, {False}, {False}]
    assert all(experiences.moved)
    assert strategy.model.current is None and not strategy.model.warming_up


def test_a_state_of_another_task_is_refused_in_words() -> None:
    benchmark = stream()
    strategy = build(HALRP, benchmark, [], train_epochs=2)
    strategy.train(benchmark.train_stream[0])
    state = strategy.model.state_dict()
    strategy.train(benchmark.train_stream[1])
    with pytest.raises(UserError, match="while that still trains the same task"):
        strategy.model.load_state_dict(state)

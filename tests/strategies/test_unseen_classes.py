"""Outputs of classes that have not come yet: one rule for every strategy and every head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from cl_strategies.models.heads import GrowingClassifier
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.registry import registry

CASES = [(e.name, s) for e in registry("strategies") for s in e.scenarios if s != "domain"]
OPTIONS: dict[str, dict[str, Any]] = {
    "agem": {"patterns_per_experience": 20, "sample_size": 16},
    "cim": {"masks": "centre", "mem_bytes": 5_000},
    "mrdc": {"mem_bytes": 5_000, "tolerance": 1e9},
    "rwalk": {"delta_t": 2},
}


def stream(scenario: str = "class") -> Any:
    """Such that the classes of the first experience are not the first ids."""
    factory = registry("benchmarks")["split-digits"].load()
    return factory(n_experiences=5, scenario=scenario, fraction=0.3, order=[3, 0, 4, 1, 2])


def build(name: str, info: Any, *, head: str = "auto", **template: Any) -> Any:
    model = registry("models")["mlp"].load()(
        input_shape=info.input_shape,
        n_classes=info.n_classes,
        scenario=info.scenario,
        hidden=[16],
        head=head,
    )
    options = {"mem_bytes": 5_000} if "mem_bytes" in registry("strategies")[name].defaults() else {}
    return registry("strategies")[name].load()(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        train_mb_size=64,
        device="cpu",
        evaluator=EvaluationPlugin(loggers=[]),
        **{**options, **OPTIONS.get(name, {}), **template},
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

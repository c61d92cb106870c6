"""Penalties, replay and the like beside methods with which no earlier task can be forgotten."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import small
import torch
from avalanche.training import plugins as avalanche_plugins
from avalanche.training.plugins import EvaluationPlugin, LRSchedulerPlugin, SupervisedPlugin
from torch import nn

from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.plugins import (
    ALASSOPlugin,
    CompressedReplayPlugin,
    EWCPlugin,
    GPMPlugin,
    L2Plugin,
    MASPlugin,
    PFRPlugin,
    SCPPlugin,
    SIPlugin,
)
from cl_strategies.registry import registry
from cl_strategies.strategies import SingleTask
from cl_strategies.strategies.templates.task_model import TaskModelStrategy

KINDS: list[Any] = [entry.load() for entry in registry("strategies")]
TASK_MODELS = [kind for kind in KINDS if issubclass(kind, TaskModelStrategy)]

GUARDS: dict[str, Callable[[], Any]] = {
    "EWCPlugin": lambda: EWCPlugin(strength=1.0),
    "MASPlugin": lambda: MASPlugin(strength=1.0),
    "SCPPlugin": SCPPlugin,
    "SIPlugin": SIPlugin,
    "ALASSOPlugin": ALASSOPlugin,
    "L2Plugin": L2Plugin,
    "PFRPlugin": PFRPlugin,
    "GPMPlugin": GPMPlugin,
    "CompressedReplayPlugin": lambda: CompressedReplayPlugin(mem_bytes=5_000),
    "LwFPlugin": avalanche_plugins.LwFPlugin,
    "ReplayPlugin": lambda: avalanche_plugins.ReplayPlugin(20),
    "avalanche EWCPlugin": lambda: avalanche_plugins.EWCPlugin(ewc_lambda=1.0),
    "avalanche MASPlugin": avalanche_plugins.MASPlugin,
    "AGEMPlugin": lambda: avalanche_plugins.AGEMPlugin(10, 10),
    "RWalkPlugin": avalanche_plugins.RWalkPlugin,
}


SHAPE = SimpleNamespace(input_shape=(1, 8, 8), n_classes=2, scenario="task")


def build(kind: Any, plugins: list[Any], epochs: int = 2) -> Any:
    name = small.name_of(kind)
    model = small.model(name, SHAPE)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    if plugins == ["scheduler"]:
        plugins = [LRSchedulerPlugin(torch.optim.lr_scheduler.StepLR(optimizer, 1))]
    return kind(
        model=model,
        optimizer=optimizer,
        train_mb_size=32,
        train_epochs=epochs,
        plugins=plugins,
        evaluator=EvaluationPlugin(loggers=[]),
    )


@pytest.mark.parametrize(
    "kind", [*(kind for kind in TASK_MODELS if not kind.can_forget), SingleTask]
)
@pytest.mark.parametrize("guard", GUARDS)
def test_what_guards_earlier_tasks_is_refused_when_the_strategy_is_made(
    kind: Any, guard: str
) -> None:
    with pytest.raises(UserError, match=f"{guard.split()[-1]} guards .* leave it out"):
        build(kind, [GUARDS[guard]()])


@pytest.mark.parametrize("kind", TASK_MODELS)
def test_a_plugin_of_ones_own_may_differentiate_after_the_training(kind: Any) -> None:
    class Gradients(SupervisedPlugin):
        """The squared gradients that an estimate of importances would take."""

        def __init__(self) -> None:
            super().__init__()
            self.norms: list[float] = []

        def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            dataset = strategy.experience.dataset.eval()
            x = torch.stack([image for image, *_ in dataset])
            y = torch.as_tensor([label for _, label, *_ in dataset])
            logits = strategy.model(x, int(strategy.experience.task_labels[0]))
            nn.functional.cross_entropy(logits, y).backward()
            own = strategy.model.parameters_of(strategy.model.current)
            self.norms.append(sum(float(p.grad.square().sum()) for p in own))

    gradients = Gradients()
    strategy = build(kind, [gradients])
    benchmark = split_digits(n_experiences=3, scenario="task", fraction=0.2)
    strategy.train(benchmark.train_stream)
    assert len(gradients.norms) == 3 and min(gradients.norms) > 0
    assert not any(p.requires_grad for p in strategy.model.parameters())


@pytest.mark.parametrize("kind", [*TASK_MODELS, SingleTask])
def test_plugins_that_guard_nothing_are_welcome(kind: Any) -> None:
    benchmark = split_digits(n_experiences=2, scenario="task", fraction=0.1)
    build(kind, ["scheduler"]).train(benchmark.train_stream)

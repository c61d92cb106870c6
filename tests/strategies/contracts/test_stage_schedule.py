"""Compression, balanced fine-tuning and bias correction follow the run's schedule, stretched over
their own epochs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import LRSchedulerPlugin

from cl_strategies.benchmarks import load
from cl_strategies.errors import UserError
from cl_strategies.experiment.setup.lr_schedule import LearningRateSchedule
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.registry import registry

EPOCHS, STAGE, RATE = 4, 8, 0.2

#: Each method with a stage: its options, and the stage's first learning rate.
STAGES: dict[str, tuple[dict[str, Any], float]] = {
    "foster": ({"compress_epochs": STAGE}, RATE),
    "lucir": ({"balance_epochs": STAGE, "balance_lr": 0.03}, 0.03),
    "podnet": ({"balance_epochs": STAGE, "balance_lr": 0.03}, 0.03),
    "aanets": ({"balance_epochs": STAGE, "balance_lr": 0.03}, 0.03),
    "mnemonics": ({"balance_epochs": STAGE, "balance_lr": 0.03}, 0.03),
    "der-expandable": (
        {"rectify": "finetune", "finetune_epochs": STAGE, "finetune_lr": 0.03},
        0.03,
    ),
    "bic": ({"correction_epochs": STAGE, "correction_lr": 0.03}, 0.03),
}
COSINE = [(1 + math.cos(math.pi * epoch / STAGE)) / 2 for epoch in range(STAGE)]
STEP = [0.1 ** ((epoch >= 2) + (epoch >= 6)) for epoch in range(STAGE)]


def rates_of_stages(monkeypatch: Any, name: str, schedule: Any, **options: Any) -> list[float]:
    """The learning rates that optimizers other than the strategy's have in the second experience.

    :param schedule: from the strategy to the plugin that sets its rates.
    :returns: one per step, which is an epoch.
    """
    benchmark = load("split-digits", n_experiences=5, fraction=0.2)
    info = benchmark.info
    torch.manual_seed(0)
    model = mlp(input_shape=info.input_shape, n_classes=10, scenario="class", hidden=[8])
    strategy = registry("strategies")[name].load()(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=RATE),
        train_mb_size=1000,  # an epoch is a step
        train_epochs=EPOCHS,
        evaluator=None,
        mem_bytes=8_000,
        **options,
    )
    strategy.plugins.append(schedule(strategy))
    strategy.train(benchmark.train_stream[0])
    seen: list[float] = []
    for kind in (torch.optim.SGD, torch.optim.Adam):
        step = kind.step

        def noted(optimizer: Any, closure: Any = None, step: Any = step) -> None:
            if optimizer is not strategy.optimizer:
                seen.append(optimizer.param_groups[0]["lr"])
            step(optimizer, closure)

        monkeypatch.setattr(kind, "step", noted)
    strategy.train(benchmark.train_stream[1])
    assert strategy.experience_rates == []
    return seen


def run(schedule: str, **options: Any) -> Any:
    return lambda strategy: LearningRateSchedule(schedule, **options)


def avalanche(make: Any, **options: Any) -> Any:
    return lambda strategy: LRSchedulerPlugin(make(strategy.optimizer), **options)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_follows_a_cosine_over_its_own_epochs(monkeypatch: Any, name: str) -> None:
    options, first = STAGES[name]
    seen = rates_of_stages(monkeypatch, name, run("cosine"), **options)[:STAGE]
    assert seen == pytest.approx([first * factor for factor in COSINE])


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_can_keep_its_rate(monkeypatch: Any, name: str) -> None:
    options, first = STAGES[name]
    (prefix,) = {key.partition("_")[0] for key in options if key.endswith("_epochs")}
    options = {**options, f"{prefix}_schedule": "constant"}
    seen = rates_of_stages(monkeypatch, name, run("cosine"), **options)[:STAGE]
    assert seen == pytest.approx([first] * STAGE)
    with pytest.raises(UserError, match=f"{prefix}_schedule"):
        rates_of_stages(monkeypatch, name, run("cosine"), **{f"{prefix}_schedule": "linear"})


scheduler = torch.optim.lr_scheduler


class Halve(SupervisedPlugin):
    """A user's own schedule."""

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        rate = RATE * 0.5**strategy.clock.train_exp_epochs
        strategy.optimizer.param_groups[0]["lr"] = rate


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (run("step", milestones=[1, 3]), STEP),
        (avalanche(lambda o: scheduler.MultiStepLR(o, [1, 3])), STEP),
        (avalanche(lambda o: scheduler.CosineAnnealingLR(o, EPOCHS)), COSINE),
        (
            avalanche(
                lambda o: scheduler.CosineAnnealingLR(o, EPOCHS), step_granularity="iteration"
            ),
            COSINE,
        ),
        (
            avalanche(lambda o: scheduler.LambdaLR(o, lambda e: 1 / (1 + e))),
            [2 / (2 + e) for e in range(STAGE)],
        ),
        (lambda strategy: Halve(), [0.5 ** (e // 2) for e in range(STAGE)]),
    ],
    ids=["step", "multistep", "cosine", "iterations", "lambda", "own plugin"],
)
def test_a_stage_follows_whatever_sets_the_rates(
    monkeypatch: Any, schedule: Any, factors: list[float]
) -> None:
    seen = rates_of_stages(monkeypatch, "foster", schedule, compress_epochs=STAGE)
    assert len(seen) == STAGE
    assert seen == pytest.approx([RATE * factor for factor in factors])


def test_without_a_schedule_the_rate_is_constant(monkeypatch: Any) -> None:
    seen = rates_of_stages(
        monkeypatch, "foster", lambda strategy: SupervisedPlugin(), compress_epochs=STAGE
    )
    assert seen == [RATE] * STAGE

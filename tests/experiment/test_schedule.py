"""The learning rate within an experience: PyTorch's curves, begun anew, also after a restart."""

import doctest
from types import SimpleNamespace

import pytest
import torch
from avalanche.core import SupervisedPlugin
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.setup import lr_schedule as schedule
from cl_strategies.experiment.setup.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.setup.lr_schedule import (
    ExponentialSchedule,
    LearningRateSchedule,
    learning_rate_factor,
)

TABLES = {
    "benchmark": {"name": "split-digits", "n_experiences": 2, "fraction": 0.1},
    "model": {"hidden": [8]},
}


class Rates(SupervisedPlugin):
    """Notes the learning rates of each epoch's last step."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def after_training_epoch(self, strategy, **kwargs):
        self.seen.append([group["lr"] for group in strategy.optimizer.param_groups])


STEP = {"epochs": 4, "lr": 0.1, "optimizer": "sgd", "schedule": "step", "milestones": [1, 3]}


class Steps(SupervisedPlugin):
    """Notes the learning rates of each step, by epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def before_training_epoch(self, strategy, **kwargs):
        self.seen.append([])

    def before_update(self, strategy, **kwargs):
        self.seen[-1].append([group["lr"] for group in strategy.optimizer.param_groups])


def trained(config, rates=None):
    benchmark = build_benchmark(config.benchmark)
    model = build_model(config, benchmark.info)
    strategy = build_strategy(config, benchmark.info, model, device="cpu", evaluator=None)
    rates = Rates() if rates is None else rates
    strategy.plugins.append(rates)
    for experience in benchmark.train_stream:
        strategy.train(experience)
    return rates.seen, strategy.optimizer


@pytest.mark.parametrize("epochs", [1, 4, 7])
def test_the_curves_are_those_of_pytorch(epochs):
    optimizers = [torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8) for _ in range(2)]
    theirs = {
        "cosine": torch.optim.lr_scheduler.CosineAnnealingLR(optimizers[0], epochs),
        "step": torch.optim.lr_scheduler.MultiStepLR(optimizers[1], [2, 5], 0.3),
    }
    for epoch in range(epochs):
        for name, scheduler in theirs.items():
            ours = learning_rate_factor(name, epoch, epochs, milestones=[2, 5], gamma=0.3)
            assert 0.8 * ours == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
            scheduler.optimizer.step()
            scheduler.step()


@pytest.mark.parametrize(
    ("strategy", "scenario"),
    [
        ({"name": "naive"}, "class"),
        ({"name": "ewc"}, "class"),
        ({"name": "lucir", "mem_bytes": 5_000}, "class"),  # a new group of parameters each time
        ({"name": "halrp", "warmup_epochs": 2}, "task"),  # a new one in the middle, too
        ({"name": "lifequant"}, "class"),  # a group for the steps of its quantizers
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else value,
)
def test_every_experience_begins_with_the_first_rate(strategy, scenario):
    benchmark = {**TABLES["benchmark"], "scenario": scenario}
    tables = {**TABLES, "benchmark": benchmark, "strategy": strategy, "train": STEP}
    seen, optimizer = trained(ExperimentConfig.from_dict(tables))
    assert [rates[0] for rates in seen] == pytest.approx([0.1, 0.01, 0.01, 0.001] * 2)
    for k, group in enumerate(optimizer.param_groups):
        assert group["lr"] == pytest.approx(seen[0][k]) and "first_lr" not in group


FALLING = {"epochs": 3, "lr": 0.1, "optimizer": "sgd", "schedule": "exponential", "gamma": 0.9}


@pytest.mark.parametrize(
    ("strategy", "scenario", "anew"),
    [
        ({"name": "naive"}, "class", []),
        ({"name": "lifequant"}, "class", []),
        # a strategy whose optimizer begins anew after the warm-up of the second task
        ({"name": "halrp", "warmup_epochs": 2}, "task", [5]),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_an_exponential_rate_is_that_of_pytorch_at_every_step(strategy, scenario, anew):
    benchmark = {**TABLES["benchmark"], "scenario": scenario}
    tables = {**TABLES, "benchmark": benchmark, "strategy": strategy, "train": FALLING}
    seen, optimizer = trained(ExperimentConfig.from_dict(tables), Steps())
    assert len(seen) == 6 and len(seen[0]) > 1
    for epoch, steps in enumerate(seen):
        if epoch in (0, 3, *anew):
            theirs = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
            scheduler = torch.optim.lr_scheduler.ExponentialLR(theirs, 0.9)
        for rates in steps:
            assert rates[0] == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
            assert all(rate == pytest.approx(0.1 * rates[0]) for rate in rates[1:])
            theirs.step()
            scheduler.step()
    assert all("first_lr" not in group for group in optimizer.param_groups)


def test_the_factor_of_an_exponential_rate_is_known_between_two_epochs():
    strategy = SimpleNamespace(train_epochs=4, dataloader=range(10))
    assert ExponentialSchedule(gamma=0.9).factor_at(strategy, 0.25) == pytest.approx(0.9**10)


def test_an_exponential_rate_needs_a_factor_of_its_own():
    tables = {**TABLES, "strategy": {"name": "si"}}
    for given in ({}, {"gamma": 0.1}):
        with pytest.raises(UserError, match="give a factor near 1"):
            ExperimentConfig.from_dict({**tables, "train": {"schedule": "exponential", **given}})
    made = ExperimentConfig.from_dict({**tables, "train": FALLING})
    assert ExperimentConfig.from_dict(made.to_dict()).hash == made.hash


@pytest.mark.parametrize(
    "curve", [{"schedule": "cosine"}, {"schedule": "exponential", "gamma": 0.8}]
)
def test_an_interrupted_run_with_a_schedule_goes_on_bit_for_bit(tmp_path, curve):
    falling = {"epochs": 3, "lr": 0.01, **curve}
    tables = {**TABLES, "strategy": {"name": "si"}, "train": falling}
    config = ExperimentConfig.from_dict(tables)

    def stop(done, total):
        if done == 1:
            raise KeyboardInterrupt

    whole = run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "cut", progress=stop)
    assert run(config, tmp_path / "cut").accuracy_matrix == whole.accuracy_matrix
    constant = ExperimentConfig.from_dict({**tables, "train": {"epochs": 3, "lr": 0.01}})
    assert run(constant, tmp_path / "whole").accuracy_matrix != whole.accuracy_matrix


def test_a_rate_of_a_finished_epoch_is_not_the_first_of_the_next_experience():
    group = {"lr": 0.5}
    plugin = LearningRateSchedule("cosine")
    clock = SimpleNamespace(train_exp_epochs=1)
    optimizer = SimpleNamespace(param_groups=[group])
    strategy = SimpleNamespace(clock=clock, train_epochs=2, optimizer=optimizer)
    plugin.before_training_epoch(strategy)
    assert group["lr"] == pytest.approx(0.25)
    plugin.after_training_exp(strategy)
    assert group == {"lr": 0.5}


def test_the_examples_in_docstrings_hold():
    result = doctest.testmod(schedule)
    assert result.attempted > 0 and result.failed == 0

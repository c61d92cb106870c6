"""`train.lr_factors`: parts of a network with learning rates of their own."""

from __future__ import annotations

import doctest
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.experiment import ExperimentConfig, run
from cl_strategies.experiment.config import rate_factors
from cl_strategies.experiment.config.reading import parse_assignment
from cl_strategies.experiment.config.run_config import override
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.setup.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.setup.rate_groups import rate_groups
from cl_strategies.experiment.setup.seeding import seed_everything

SLOW = {"backbone.*": 0.1}
TABLES: dict[str, dict[str, Any]] = {
    "benchmark": {"name": "split-digits", "n_experiences": 1, "fraction": 0.1},
    "strategy": {"name": "naive"},
    "model": {"hidden": [8]},
}


def config(strategy: str = "naive", scenario: str = "class", **train: Any) -> ExperimentConfig:
    benchmark = {**TABLES["benchmark"], "scenario": scenario}
    tables = {**TABLES, "benchmark": benchmark, "strategy": {"name": strategy}, "train": train}
    return ExperimentConfig.from_dict(tables)


def built(asked: ExperimentConfig) -> tuple[Any, Any]:
    seed_everything(0)
    benchmark = build_benchmark(asked.benchmark)
    model = build_model(asked, benchmark.info)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No loggers specified")
        strategy = build_strategy(asked, benchmark.info, model, device="cpu", evaluator=None)
    return strategy, benchmark


def test_a_training_is_that_of_a_loop_with_two_groups() -> None:
    steps = {"optimizer": "sgd", "momentum": 0.9, "lr": 0.2, "weight_decay": 0.01}
    asked = config(epochs=4, batch_size=1000, lr_factors=SLOW, **steps)
    strategy, benchmark = built(asked)
    seed_everything(0)
    network: Any = build_model(asked, benchmark.info)
    groups = [
        {"params": network.head.parameters(), "lr": 0.2},
        {"params": network.backbone.parameters(), "lr": 0.02},
    ]
    optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=0.01)
    dataset = benchmark.train_stream[0].dataset
    x = torch.stack([sample[0] for sample in dataset])
    y = torch.tensor([int(sample[1]) for sample in dataset])
    for _ in range(4):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    strategy.train(benchmark.train_stream[0])
    found, plain = strategy.model.state_dict(), config(epochs=4, batch_size=1000, **steps)
    for name, expected in network.state_dict().items():
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-6)
    other, _ = built(plain)
    other.train(benchmark.train_stream[0])
    assert not torch.allclose(other.model.state_dict()["head.weight"], found["head.weight"])


class Rates(SupervisedPlugin):
    """Notes the rates of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[float]] = []

    def before_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.seen.append([group["lr"] for group in strategy.optimizer.param_groups])


def test_a_falling_rate_of_the_method_and_a_schedule_fall_in_both_groups() -> None:
    benchmark = {"name": "adaptation-digits", "fraction": 0.1, "source": "plain"}
    train = {"epochs": 2, "lr": 0.5, "optimizer": "sgd", "lr_factors": SLOW}
    train |= {"schedule": "step", "milestones": [1], "gamma": 0.5}
    tables = {**TABLES, "benchmark": benchmark, "strategy": {"name": "dann"}, "train": train}
    strategy, stream = built(ExperimentConfig.from_dict(tables))
    strategy.plugins.append(rates := Rates())
    strategy.train(stream.train_stream[0])
    count = len(rates.seen)
    for step, (head, backbone) in enumerate(rates.seen):
        scheduled = 0.5 if step < count / 2 else 0.25
        assert head == pytest.approx(scheduled / (1 + 10 * step / count) ** 0.75)
        assert backbone == pytest.approx(0.1 * head)
    assert [group["lr"] for group in strategy.optimizer.param_groups] == [0.5, 0.05]


def test_the_first_pattern_that_fits_counts_and_the_plain_rate_comes_first() -> None:
    model = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    factors = (("a.bias", 2.0), ("a.*", 0.5), ("*.bias", 0.5))
    groups = rate_groups(model, factors, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = [(group["lr"], [names[id(one)] for one in group["params"]]) for group in groups]
    assert found == [(0.1, ["b.weight"]), (0.05, ["a.weight", "b.bias"]), (0.2, ["a.bias"])]
    whole = rate_groups(model, (("*", 0.5),), 0.1)
    assert [len(group["params"]) for group in whole] == [0, 4]


def test_heads_of_later_tasks_have_the_plain_rate() -> None:
    strategy, benchmark = built(config(scenario="task", lr_factors=SLOW))
    strategy.train(benchmark.train_stream[0])
    names = {id(one): name for name, one in strategy.model.named_parameters()}
    first, second = strategy.optimizer.param_groups
    assert all(names[id(one)].startswith("head.") for one in first["params"])
    assert len(first["params"]) == len(second["params"]) == 2


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    benchmark = {**TABLES["benchmark"], "n_experiences": 2}
    train = {"lr_factors": SLOW, "schedule": "cosine", "epochs": 2}
    tables = {**TABLES, "benchmark": benchmark, "strategy": {"name": "si"}, "train": train}
    asked = ExperimentConfig.from_dict(tables)

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    whole = run(asked, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(asked, tmp_path / "cut", progress=stop)
    assert run(asked, tmp_path / "cut").accuracy_matrix == whole.accuracy_matrix
    written = RunDirectory(tmp_path / "cut", asked).path / "config.toml"
    assert ExperimentConfig.from_toml(written) == asked
    assert ExperimentConfig.from_toml(written).hash == asked.hash


def test_a_run_that_does_not_ask_for_it_is_the_run_of_before() -> None:
    assert config().hash == config(lr_factors={}).hash
    assert "lr_factors" not in config().to_dict()["train"]
    one, other = {"backbone.*": 0.1, "*.bias": 1}, {"*.bias": 1, "backbone.*": 0.1}
    assert len({config(lr_factors=factors).hash for factors in ({}, SLOW, one, other)}) == 4
    assert config(lr_factors=one) == config(lr_factors=list(one.items()))
    key, value = parse_assignment('train.lr_factors={ "backbone.*" = 0.1 }')
    assert ExperimentConfig.from_dict(override(TABLES, {key: value})) == config(lr_factors=SLOW)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"backbone.*": 0}, "a factor of the learning rate above 0"),
        ({"backbone.*": -1.0}, "above 0"),
        ({"backbone.*": True}, "above 0"),
        ({"backbone.*": "0.1"}, "above 0"),
        (0.1, "give patterns of names"),
        ([["a", 0.1], ["a", 0.2]], "'a' twice"),
        ({"trunk.*": 0.1}, "'trunk..', which fits no parameter.*names.*backbone"),
        ({"": 0.1}, "'', which fits no parameter"),
        ({"*": 0.1, "backbone.*": 0.2}, "fits only parameters that a pattern before it"),
    ],
)
def test_what_is_no_table_of_factors_is_refused_before_any_training(
    factors: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        built(config(lr_factors=factors))


@pytest.mark.parametrize("name", ["halrp", "prd"])
def test_a_method_with_one_group_names_the_setting(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} does not work with train.lr_factors.*leave"):
        built(config(name, scenario="task", lr_factors=SLOW))


def test_the_examples_in_docstrings_hold() -> None:
    result = doctest.testmod(rate_factors)
    assert result.attempted > 0 and result.failed == 0

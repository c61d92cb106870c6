"""The recipes of HALRP's paper: they can be run, and hold the numbers that it prints."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from cl_strategies.experiment.config.suite import Suite, label_of, recipes
from cl_strategies.experiment.sweep.preflight import check_configs
from cl_strategies.registry import registry

#: Average accuracy, MOPD and AOPD of HALRP with all training data (Tables 2, 3 and 5).
HALRP = {
    "halrp-cifar100-split": (67.92, 3.90, 2.56),
    "halrp-cifar100-superclass": (62.56, 4.34, 1.96),
    "halrp-p-mnist": (98.10, 0.47, 0.24),
    "halrp-five-datasets-alexnet": (88.81, 4.28, 1.31),
    "halrp-five-datasets-resnet18": (93.39, 4.39, 1.27),
    "halrp-omniglot-rotation": (83.08, 10.36, 3.91),
    "halrp-tiny-imagenet-20-alexnet": (66.68, 5.60, 3.43),
    "halrp-tiny-imagenet-20-resnet18": (70.09, 4.67, 3.20),
    "halrp-tiny-imagenet-40-alexnet": (74.01, 7.47, 4.12),
    "halrp-tiny-imagenet-40-resnet18": (75.53, 7.87, 4.48),
}
TASKS = {
    **{"halrp-cifar100-split": 10, "halrp-cifar100-superclass": 20, "halrp-p-mnist": 10},
    **{"halrp-five": 5, "halrp-omniglot": 100, "halrp-tiny-imagenet-20": 20},
    "halrp-tiny-imagenet-40": 40,
}
BASELINES = {
    *("single-task", "joint", "l2", "ewc", "batch-norm", "batch-ensemble", "gpm", "wsn", "halrp"),
}


def numbers(cells: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(float(cell.split(" ± ")[0]) if cell else math.nan for cell in cells)


@pytest.mark.parametrize("name", sorted(recipes()))
def test_every_name_in_a_recipe_is_registered_and_its_options_resolve(name: str) -> None:
    suite = Suite.from_toml(name)
    labels = {label_of(row) for row in suite.strategies}
    configs = replace(suite, seeds=suite.seeds[:1]).configs()  # the others differ in a number
    assert configs
    for config in configs:
        assert config.benchmark.name in registry("benchmarks")
        assert config.strategy.name in registry("strategies")
        assert config.model.name in registry("models")
    for table in suite.published:
        assert set(table.values) <= labels
        assert all(math.isfinite(value) for row in table.values.values() for value in numbers(row))


@pytest.mark.parametrize("name", HALRP)
def test_a_recipe_of_the_paper_has_its_orders_its_baselines_and_its_numbers(name: str) -> None:
    suite = Suite.from_toml(name)
    assert "".join(map(str, suite.orders)) == "ABCDE"
    assert len(suite.seeds) == 5 and suite.name == name
    table = suite.published[-1]
    offered = {entry.name for entry in registry("strategies")} & table.values.keys()
    assert {row["name"] for row in suite.strategies} == BASELINES | offered
    assert numbers(table.values["halrp"]) == HALRP[name]
    assert table.values.keys() >= {"apd", "apd-fixed", "bmkp", "clr", "prd"}


def test_cifar100_has_four_sizes_of_the_training_data() -> None:
    for name, least in (("halrp-cifar100-split", 45.09), ("halrp-cifar100-superclass", 43.84)):
        suite = Suite.from_toml(name)
        assert [row["fraction"] for row in suite.benchmarks] == [0.04, 0.2, 0.4, 0.8]
        assert [table.setting.split(", ")[-1] for table in suite.published] == [
            f"{share} % of the training data" for share in (5, 25, 50, 100)
        ]
        assert numbers(suite.published[0].values["halrp"])[0] == least
        assert all(len(table.values) == 15 for table in suite.published)


@pytest.mark.parametrize("name", HALRP)
def test_the_rate_falls_by_the_formula_of_the_released_code(name: str) -> None:
    suite = Suite.from_toml(name)
    tasks = next(count for start, count in TASKS.items() if name.startswith(start))
    for benchmark in suite.benchmarks:
        samples = 50_000 * benchmark.get("fraction", 1.0)
        for strategy in suite.strategies:
            train = suite.tables(benchmark, strategy)["train"]
            together = strategy["name"] == "joint"
            expected = 0.95 ** (train["batch_size"] / (samples if together else samples / tasks))
            if strategy["name"] == "prd":
                assert train["schedule"] == "constant"
            else:
                assert train["schedule"] == "exponential"
                assert train["gamma"] == pytest.approx(expected, abs=1e-8)


def test_the_setting_of_iru_and_the_ablations_have_their_numbers() -> None:
    iru = Suite.from_toml("halrp-iru-setting").published
    assert [numbers(table.values["halrp"])[0] for table in iru] == [92.02, 73.71, 67.21]
    table = Suite.from_toml("halrp-cifar100-ablation").published[0]
    assert numbers(table.values["alpha 0.45, n_r 1"]) == (66.08, 10.0)
    assert numbers(table.values["random LRP"]) == (61.76, 23.5)
    assert len(table.values) == 10


def test_the_reduced_recipes_need_no_download() -> None:
    ten, twenty = (Suite.from_toml(name) for name in ("halrp-streams", "halrp-streams-20"))
    for suite, tasks in ((ten, 10), (twenty, 20)):
        assert [row["n_experiences"] for row in suite.benchmarks] == [tasks]
        assert len(suite.orders) == 5 and len(suite.seeds) == 3
        assert {row["name"] for row in suite.strategies} >= BASELINES | {"naive"}
        assert not suite.published
    assert ten.strategies == twenty.strategies


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sorted({*HALRP, "halrp-iru-setting", "halrp-streams", "halrp-streams-20"})
)
def test_every_stream_model_and_strategy_of_a_recipe_can_be_built(
    name: str, data_root: str
) -> None:
    suite = Suite.from_toml(name)
    one: dict[str, Any] = {"seeds": suite.seeds[:1], "orders": suite.orders[-1:]}
    overrides = {"benchmark.data_root": data_root, "benchmark.fraction": 1.0}
    check_configs(replace(suite, **one).configs(overrides))

"""The recipes of CIM's paper: what they hold, and that they run on small files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.config.suite import Suite, label_of
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.sweep.preflight import check_configs

#: Average incremental accuracy of CIM, table by table in the order of the recipe.
CIM = {
    "cim-food-101": [76.44, 74.85, 70.20, 79.76, 76.86, 70.50],
    "cim-food-101-jitter": [75.63, 73.09, 69.17, 79.25, 75.76],
    "cim-imagenet-100": [80.58, 77.94, 75.23, 80.93, 78.66, 75.74],
    "cim-imagenet-100-jitter": [79.63, 77.57, 75.36, 80.30, 79.05],
    "cim-imagenet-1000": [69.93, 69.53, 61.37, 59.48],
    "cim-ablation": [74.85, 70.20, 77.94, 75.23],
    "cim-lucir": [74.05, 73.76, 72.84, 68.03, 66.54, 63.77],
}
RECIPES = [*CIM, "cim-imagenet-1000-jitter"]
#: Height and width in the paper's Table S1, and exemplars of a fixed memory.
SIZES = {
    "food-101": (475, 496, {2020}),
    "imagenet-100": (407, 472, {2000}),
    "imagenet-1000": (406, 474, {5000, 20000}),
}
#: What makes a run small: all but the files, the stream, the method and its options.
SMALL = {
    "benchmark.image_size": 32,
    "train.batch_size": 64,
    "train.epochs": 1,
    "model.name": "small-resnet",
    "model.channels": [4, 8],
}
#: The same for CIM.
SMALL_CIM = {"strategy.mask_steps": 0.01, "strategy.mask_batch_size": 4}


def example(name: str, strategy: str, data_root: str) -> ExperimentConfig:
    """The first run of ``strategy`` in a recipe, in two tasks and made small."""
    suite = Suite.from_toml(name)
    rows = [row for row in suite.strategies if label_of(row) == strategy]
    part = replace(suite, benchmarks=suite.benchmarks[:1], strategies=rows, published=[])
    (config, *_) = part.configs()
    options = config.strategy.options
    half = config.benchmark.options["protocol"] == "half"
    changes: dict[str, Any] = {
        **SMALL,
        "benchmark.data_root": data_root,
        "benchmark.n_experiences": 1 if half else 2,
        "strategy.mem_bytes": 20_000 if half else 2_000_000,
    }
    if config.strategy.name == "cim":
        host = options["host"].replace("compress_epochs=130", "compress_epochs=1")
        changes |= {**SMALL_CIM, "strategy.host": host}
    return part.configs(changes)[0]


@pytest.mark.parametrize("name", CIM)
def test_a_recipe_has_the_numbers_of_cim(name: str) -> None:
    tables = Suite.from_toml(name).published
    rows = [
        row for table in tables for label, row in table.values.items() if "CIM" in label.upper()
    ]
    assert [float(row[0].split(" ± ")[0]) for row in rows] == CIM[name]
    assert all(table.metrics[0] == "average_incremental_accuracy" for table in tables)


@pytest.mark.parametrize("name", RECIPES)
def test_epochs_are_those_of_the_paper_but_where_a_host_has_its_own(name: str) -> None:
    for config in replace(Suite.from_toml(name), seeds=[0]).configs():
        own = config.strategy.name in ("podnet", "aanets")
        expected = (90, 0) if own else (170, 200)
        assert (config.train.epochs, config.train.first_epochs) == expected


@pytest.mark.parametrize("name", RECIPES)
def test_budgets_are_those_of_the_paper_in_bytes_of_average_images(name: str) -> None:
    suite = Suite.from_toml(name)
    assert len(suite.seeds) == 3
    for config in replace(suite, seeds=[0]).configs():
        height, width, totals = SIZES[config.benchmark.name]
        options = config.strategy.options
        images, rest = divmod(options["mem_bytes"], height * width * 3 + 7 + 16)
        assert rest == 0
        half = config.benchmark.options["protocol"] == "half"
        assert options["growing"] is half
        assert images in ({20} if half else totals)


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        pytest.param("cim-food-101", "foster CIM", marks=pytest.mark.slow),
        pytest.param("cim-food-101-jitter", "der-expandable CIM", marks=pytest.mark.slow),
        ("cim-imagenet-100", "foster CIM"),
        pytest.param("cim-imagenet-100-jitter", "der-expandable CIM", marks=pytest.mark.slow),
        pytest.param("cim-imagenet-1000", "foster CIM", marks=pytest.mark.slow),
        pytest.param("cim-imagenet-1000-jitter", "der-expandable", marks=pytest.mark.slow),
        pytest.param("cim-ablation", "CIM", marks=pytest.mark.slow),
        pytest.param("cim-lucir", "cim", marks=pytest.mark.slow),
    ],
)
def test_a_recipe_runs_on_small_files_in_the_real_format(
    name: str, strategy: str, data_root: str, tmp_path: Path
) -> None:
    config = example(name, strategy, data_root)
    record = run(config, tmp_path)
    assert record.status == "finished", record.error
    assert len(record.accuracy_matrix) == 2
    options, classes = config.strategy.options, 101 if "food" in name else 100
    assert (
        0
        < record.exemplars["bytes"][-1]
        <= options["mem_bytes"] * (classes if options["growing"] else 1)
    )


def photographs(changes: dict[str, Any], *labels: str) -> list[ExperimentConfig]:
    suite = Suite.from_toml("cim-photographs")
    rows = [row for row in suite.strategies if not labels or label_of(row) in labels]
    return replace(suite, strategies=rows, seeds=suite.seeds[:1]).configs(changes)


def test_photographs_have_all_masks_at_both_ratios_and_the_papers_rates() -> None:
    suite = Suite.from_toml("cim-photographs")
    assert len(suite.seeds) == 5
    found: dict[tuple[str, float], list[int]] = {}
    rates = []
    for config in photographs({}):
        options = config.strategy.options
        if config.strategy.name == "cim" and options["masks"] == "bilevel":
            rates.append(options["inner_lr"])
            assert 2 * options["mask_steps"] * config.train.epochs == 204  # of an experience
        if config.strategy.name == "cim" and options["inner_lr"] == 0.1:  # the paper's
            found.setdefault((options["masks"], options["eta"]), []).append(options["mem_bytes"])
            assert (options["inner"], options["filter"]) == ("jpeg", "box")
    masks = ("empty", "random", "center", "cam", "bilevel", "oracle")
    budgets = {4.0: [169_300, 338_600], 16.0: [338_600]}
    assert found == {(kind, eta): sizes for kind in masks for eta, sizes in budgets.items()}
    assert sorted(rates) == [0.001, 0.1, 0.1, 0.1]  # one that descends beside them


@pytest.mark.parametrize(
    "label",
    [
        "oracle, eta 16",
        pytest.param("CIM, eta 4", marks=pytest.mark.slow),
        pytest.param("icarl webp", marks=pytest.mark.slow),
    ],
)
def test_photographs_run_on_few_images(label: str, data_root: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "benchmark.data_root": data_root,
        "benchmark.n_experiences": 2,
        "benchmark.fraction": 1.0,
        "benchmark.test_fraction": 1.0,
        "train.epochs": 3,
        "model.channels": [4],
        "strategy.mem_bytes": 60_000,
    }
    if label.startswith("CIM"):
        changes |= {"strategy.mask_steps": 0.4, "strategy.mask_batch_size": 4}
    record = run(photographs(changes, label)[0], tmp_path)
    assert record.status == "finished", record.error
    assert 0 < record.exemplars["bytes"][-1] <= 60_000
    if label.startswith("oracle"):
        assert list(record.exemplars["true_overlap"]) == [1, 1]
        assert max(record.exemplars["cam_overlap"]) < 1
        assert 0.2 < record.exemplars["box_area"][-1] < 0.32


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_stream_model_and_strategy_of_a_recipe_can_be_built(
    name: str, data_root: str
) -> None:
    suite = replace(Suite.from_toml(name), seeds=[0])
    check_configs(suite.configs({"benchmark.data_root": data_root}))

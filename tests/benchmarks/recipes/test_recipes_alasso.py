"""The recipes of ALASSO's paper: its networks, its numbers, and that they run on small files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.experiment.config.suite import Suite, label_of
from cl_strategies.experiment.engine.runner import run
from cl_strategies.registry import registry

#: Parameters of the network of each recipe, in the paper's supplement (Tables B, C and D).
NETWORKS = {
    "alasso-permuted-mnist": ((1, 28, 28), 10, 5_592_010),
    "alasso-sensitivity": ((1, 28, 28), 10, 5_592_010),
    "alasso-cifar10-100": ((3, 32, 32), 90, 39_822),
    "alasso-tiny-imagenet": ((3, 224, 224), 180, 6_895_892),
}
#: What makes a run small: all but the files, the stream, the method and its options.
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"model.hidden": [16]},
    "dropout-cnn": {"model.channels": [4, 4], "model.hidden": 8},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_is_that_of_the_paper(name: str) -> None:
    shape, classes, parameters = NETWORKS[name]
    model = Suite.from_toml(name).shared["model"]
    options = {key: value for key, value in model.items() if key != "name"}
    build = registry("models")[model["name"]].load()
    network = build(input_shape=shape, n_classes=classes, scenario="class", **options)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_table_1_is_a_row_for_each_value_of_a() -> None:
    suite = Suite.from_toml("alasso-sensitivity")
    assert [row["a"] for row in suite.strategies] == [0.8, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [row["n_experiences"] for row in suite.benchmarks] == [30, 100]
    thirty, hundred = suite.published
    assert [row[0] for row in thirty.values.values()] == ["91", "92", "94", "94", "94", "94"]
    assert [row[0] for row in hundred.values.values()] == ["59", "62", "79", "79", "78", "75"]


@pytest.mark.parametrize("name", NETWORKS)
def test_alasso_runs_on_small_files_in_the_real_format(
    name: str, data_root: str, tmp_path: Path
) -> None:
    suite = Suite.from_toml(name)
    row = next(row for row in suite.strategies if row["name"] == "alasso")
    part = replace(suite, benchmarks=suite.benchmarks[:1], strategies=[row], published=[])
    changes = {"benchmark.data_root": data_root, "benchmark.n_experiences": 2, "train.epochs": 1}
    if "tiny" in name:
        changes["benchmark.image_size"] = 16
    changes |= SMALL[suite.shared["model"]["name"]]
    record = run(part.configs(changes)[0], tmp_path)
    assert record.status == "finished", record.error
    assert len(record.accuracy_matrix) == 2


def test_the_figures_have_the_ablations_and_the_bounds() -> None:
    labels = {label_of(row) for row in Suite.from_toml("alasso-permuted-mnist").strategies}
    assert labels >= {"alasso, symmetric", "alasso, importances of SI", "single-task", "cumulative"}

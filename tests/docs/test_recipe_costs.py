"""The hours in the recipes, and the tables of the papers, are those of the scripts."""

from __future__ import annotations

import json
import math
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cl_strategies.experiment.config.run_config import Named
from cl_strategies.experiment.config.suite import Suite, recipes
from cl_strategies.experiment.sweep.preflight import build_benchmark

DOCS = Path(__file__).resolve().parents[2] / "docs"
COSTS = runpy.run_path(str(DOCS / "recipe_costs.py"))
COVERAGE = runpy.run_path(str(DOCS / "coverage.py"))
FEW = ["alasso-sensitivity", "cim-food-101", "halrp-iru-setting", "quickstart"]


def in_file(name: str) -> float:
    suite = Suite.from_toml(name)
    (hours,) = (hours for hours in (suite.gpu_hours, suite.cpu_hours) if hours is not None)
    return hours


@pytest.mark.parametrize("name", FEW)
def test_hours_are_those_of_the_reckoning(name: str) -> None:
    assert math.isclose(in_file(name), COSTS["known"](name).hours, rel_tol=0.06)


@pytest.mark.parametrize("name", ["quickstart", "cim-photographs"])
def test_hours_of_a_published_recipe_are_those_its_runs_took(name: str) -> None:
    origin = DOCS.parent / "reports" / "published" / name / "origin.json"
    took = json.loads(origin.read_text())["processor_hours"]
    assert COSTS["known"](name).measured
    assert math.isclose(in_file(name), took, rel_tol=0.06)


def test_hours_of_a_report_of_other_runs_are_not_those_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "quickstart" / "origin.json").write_text('{"runs": 7, "processor_hours": 100}')
    monkeypatch.setitem(COSTS["known"].__globals__, "PUBLISHED", tmp_path)
    assert not COSTS["known"]("quickstart").measured
    assert COSTS["known"]("quickstart").hours < 1


@pytest.mark.slow
def test_all_hours_and_their_table_are_up_to_date() -> None:
    for name, total in COSTS["totals"]().items():
        assert math.isclose(in_file(name), total.hours, rel_tol=0.06), "docs/recipe_costs.py"
    text = COSTS["PAGE"].read_text()
    assert COSTS["filled"](text) == text, "run: python docs/recipe_costs.py"


def test_every_recipe_says_what_it_costs_and_papers_in_gpu_hours() -> None:
    for name in recipes():
        suite = Suite.from_toml(name)
        assert in_file(name) > 0
        assert COVERAGE["of_paper"](suite) == (suite.gpu_hours is not None)


def test_a_network_is_counted_exactly() -> None:
    options = '{"hidden": [2000, 2000]}'
    forward, both, tensors = COSTS["operations"]("mlp", options, (1, 28, 28), 10)
    multiplications = [784 * 2000, 2000 * 2000, 2000 * 10]
    assert forward == 2 * sum(multiplications)
    assert both == 3 * forward - 2 * multiplications[0]  # no gradient of the pixels
    assert tensors == 6


def test_a_run_is_counted_exactly() -> None:
    suite = Suite.from_toml("alasso-sensitivity")
    config = replace(suite, seeds=[0], strategies=suite.strategies[:1]).configs()[0]
    cost = COSTS["cost"](config, COSTS["GPU"])
    assert cost.steps == 30 * 60_000 * 20 / 256
    _, both, tensors = COSTS["operations"]("mlp", '{"hidden": [2000, 2000]}', (1, 28, 28), 10)
    training = cost.steps * (2e-3 + tensors * 1e-4 + 256 * both / 1e13)
    tested = 10_000 * 30 * 31 / 2
    forward = 2 * (784 * 2000 + 2000 * 2000 + 2000 * 10)
    assert math.isclose(cost.seconds, training + tested * forward / 1e13)


def test_wider_bit_widths_are_epochs_of_the_first_experience() -> None:
    suite = replace(Suite.from_toml("lifequant-cifar100"), seeds=[0], bits=[8, 2])
    rows = [row for row in suite.strategies if row["name"] in ("ewc", "lifequant")]
    steps: dict[str, list[float]] = {"ewc": [], "lifequant": []}
    for config in replace(suite, strategies=rows, benchmarks=suite.benchmarks[:1]).configs():
        alone = replace(config, train=replace(config.train, bits_before=(), lr_before=()))
        first = COSTS["sizes"](config.benchmark).train / 3 * 30 / 128
        more = COSTS["cost"](config, COSTS["GPU"]).steps - COSTS["cost"](alone, COSTS["GPU"]).steps
        steps[config.strategy.name].append(more / first)
    assert {name: [*map(round, found)] for name, found in steps.items()} == {
        "ewc": [1, 2],
        "lifequant": [1, 2],
    }
    counted = [COSTS["wider"](one) for one in Suite.from_toml("alignq-office-31-dsan").configs()]
    assert {*counted} == {0, 1, 2, 3}


def test_methods_pass_over_the_data_as_often_as_their_networks_say() -> None:
    foster, masked = Suite.from_toml("cim-food-101").configs()[:2]
    alone = 4 / 3 + 130 / 170 * 5 / 3
    assert math.isclose(COSTS["passes"](foster, 5), alone)
    assert math.isclose(COSTS["passes"](masked, 5), 1.6 * alone)


@pytest.mark.parametrize("name", ["split-digits", "photo-digits", "digit-domains"])
def test_sizes_are_those_of_the_streams(name: str) -> None:
    """Of those that need no data set; the others have the published sizes."""
    info = build_benchmark(Named(name, {}))
    size = COSTS["sizes"](Named(name, {"n_experiences": len(info.train_stream)}))
    for stream, expected in ((info.train_stream, size.train), (info.test_stream, size.test)):
        found = sum(len(experience.dataset) for experience in stream)
        assert math.isclose(found, expected, rel_tol=0.02)
    assert info.info.n_classes == size.n_classes
    assert torch.Size(info.info.input_shape) == torch.Size(size.shape)


def test_every_recipe_of_a_paper_stands_at_one_of_its_tables() -> None:
    standing = {name for row in COVERAGE["paper_tables"]() for name in row["recipes"].split()}
    known = {name: Suite.from_toml(name) for name in recipes()}
    assert standing == {name for name, suite in known.items() if COVERAGE["of_paper"](suite)}
    for row in COVERAGE["paper_tables"]():
        assert row["paper"] in COVERAGE["PAPERS"] and row["place"] and row["what"]
        assert row["recipes"] or row["note"]
        for name in row["recipes"].split():
            assert known[name].title.startswith(f"{row['paper']}, ")

"""Published reports were made by the code that is here, and repeat."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.experiment import ExperimentConfig
from cl_strategies.experiment.setup.environment import describe_environment
from cl_strategies.experiment.sweep.executors import process

ROOT = Path(__file__).resolve().parents[2]
REPORTS = sorted(path.parent for path in (ROOT / "reports/published").glob("*/origin.json"))
#: Seconds of training that a run may have taken, to be done again.
LONGEST = 120.0


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_its_methods_are_those_of_the_tree(report: Path) -> None:
    from method_code import fingerprints

    recorded = json.loads((report / "origin.json").read_text())["code"]
    now = fingerprints(recorded)
    changed = [part for part in recorded if recorded[part] != now[part]]
    assert not changed, f"{report.name} was made with other code: make it again ({changed})"


def drawn(report: Path) -> list[dict[str, Any]]:
    """Three runs of a report."""
    runs = json.loads((report / "summary.json").read_text())["runs"]
    short = [
        one
        for one in runs
        if one["error"] is None and sum(map(sum, one["seconds"].values())) < LONGEST
    ]
    return random.Random(report.name).sample(short, 3)


@pytest.mark.slow
@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_three_runs_repeat_to_the_last_digit(report: Path, tmp_path: Path) -> None:
    here = describe_environment("cpu")["processor"]
    runs = drawn(report)
    for one in runs:
        if not one["config"]["run"].get("portable") and one["environment"]["processor"] != here:
            pytest.skip("runs that are not portable repeat on one kind of processor only")
    configs = [ExperimentConfig.from_dict(one["config"]) for one in runs]
    assert not [outcome.problem for outcome in process(configs, tmp_path) if outcome.problem]
    for config, one in zip(configs, runs, strict=True):
        (result,) = (tmp_path / "runs").glob(f"*-{config.hash}/result.json")
        assert json.loads(result.read_text())["accuracy_matrix"] == one["accuracy_matrix"]

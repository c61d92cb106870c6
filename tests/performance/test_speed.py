"""The targets of docs/performance.md, measured; run by ``make bench``.

``BENCH_OUT`` names a folder that keeps the report.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = (
    "naive",
    "naive-lean",
    "metrics",
    "si",
    "alasso",
    "replay",
    "evaluation",
    "augmented",
    "resnet",
)


@pytest.fixture(scope="session")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    """The report of one fresh process."""
    out = Path(os.environ.get("BENCH_OUT") or tmp_path_factory.mktemp("performance"))
    script = Path(__file__).with_name("run.py")
    subprocess.run([sys.executable, str(script), "--out", str(out)], check=True)
    return json.loads((out / "performance.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def rows(content: dict[str, list[dict]]) -> dict[str, dict]:
    """Every case by name."""
    return {row["name"]: row for row in content["cases"]}


def test_every_case_is_measured(rows: dict[str, dict]) -> None:
    assert tuple(rows) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_overhead_over_a_raw_loop_is_within_its_limit(rows: dict[str, dict], name: str) -> None:
    row = rows[name]
    assert row["at most"] is None or row["ours / raw"] <= row["at most"]


NETWORK_BOUND = pytest.mark.xfail(
    reason="on few CPU cores the network takes nearly all of the time, with any loader"
)


@pytest.mark.parametrize("name", [*NAMES[:-1], pytest.param("resnet", marks=NETWORK_BOUND)])
def test_it_is_faster_than_avalanche_by_its_factor(rows: dict[str, dict], name: str) -> None:
    row = rows[name]
    assert row["stock / ours"] >= row["at least"]


AGREEMENT = "onnx-agreement"


def test_every_other_figure_meets_its_target(content: dict[str, list[dict]]) -> None:
    assert content["figures"]
    missed = {
        figure["name"]: figure["value"]
        for figure in content["figures"]
        if not figure["name"].startswith(AGREEMENT)
        and (
            (figure["most"] is not None and figure["value"] > figure["most"])
            or (figure["least"] is not None and figure["value"] < figure["least"])
        )
    }
    assert missed == {}


def test_exported_networks_that_are_trained_predict_the_same(
    content: dict[str, list[dict]],
) -> None:
    """On average over the quantizers: for each of them the limit is three images."""
    found = [row for row in content["figures"] if row["name"].startswith(f"{AGREEMENT}-trained")]
    assert statistics.mean(row["value"] for row in found) >= found[0]["least"]

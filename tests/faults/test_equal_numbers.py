"""Serial, process, Ray and two shards: the quickstart suite gives the same numbers, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cl_strategies.cli import main
from cl_strategies.experiment.suite import Suite

CUT = ("train.epochs=1", "benchmark.n_experiences=2", "benchmark.fraction=0.3")
SERIAL = ("--executor", "serial")
WAYS = {
    "serial": [SERIAL],
    "process": [("--executor", "process")],
    "ray": [("--executor", "ray")],
    "shards": [(*SERIAL, "--shard", f"{i}/2") for i in range(2)],
}


def compute(out: Path, calls: list[tuple[str, ...]], settings: tuple[str, ...]) -> None:
    """Calls of one way, all at the same time, then the report of what they left."""
    sets = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "cl_strategies", "compare", "quickstart", *sets]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [subprocess.Popen([*command, "--out", str(out), *more], **quiet) for more in calls]
    assert [process.wait() for process in started] == [0] * len(calls)
    assert main(["report", str(out)]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("settings", [CUT, ()], ids=["cut short", "whole"])
def test_every_way_to_compute_the_quickstart_gives_the_same_numbers(settings, tmp_path, numbers):
    for way, calls in WAYS.items():
        compute(tmp_path / way, calls, settings)
    expected = numbers(tmp_path / "serial")
    runs = len(Suite.from_toml("quickstart").configs())
    assert runs == 48 and len(expected) == runs + 1  # and the summary
    assert all(expected[run]["status"] == "finished" for run in expected if run != "summary")
    for way in WAYS:
        assert numbers(tmp_path / way) == expected, way

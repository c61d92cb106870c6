"""Serial, process, Ray and two shards: the quickstart suite gives the same numbers, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cl_strategies.cli import main

CUT = ("train.epochs=1", "benchmark.n_experiences=2", "benchmark.fraction=0.3")
PARTS = {
    "every run cut short": ([part for setting in CUT for part in ("--set", setting)], 80),
    "split-digits": (["--benchmark", "split-digits"], 40),
    "whole": ([], 80),
}
SERIAL = ("--executor", "serial")
WAYS = {
    "serial": [SERIAL],
    "process": [("--executor", "process")],
    "ray": [("--executor", "ray")],
    "shards": [(*SERIAL, "--shard", f"{i}/2") for i in range(2)],
}


def compute(out: Path, calls: list[tuple[str, ...]], part: list[str]) -> None:
    """Calls of one way, all at the same time, then the report of what they left."""
    command = [sys.executable, "-m", "cl_strategies", "compare", "quickstart", *part]
    started = [subprocess.Popen([*command, "--out", str(out), *more]) for more in calls]
    assert [process.wait() for process in started] == [0] * len(calls)
    assert main(["report", str(out)]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_way_to_compute_the_quickstart_gives_the_same_numbers(part, tmp_path, numbers):
    options, runs = PARTS[part]
    for way, calls in WAYS.items():
        compute(tmp_path / way, calls, options)
    expected = numbers(tmp_path / "serial")
    assert len(expected) == runs + 1  # and the summary
    assert all(expected[run]["status"] == "finished" for run in expected if run != "summary")
    for way in WAYS:
        assert numbers(tmp_path / way) == expected, way

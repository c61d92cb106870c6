"""What a user waits for: the start of the command line, and a comparison on two processes."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loops import Data
from measurement import Measurement

SUITE = ["compare", "quickstart", "--seeds", "0"]
HELP_MOST, LIST_MOST, TWO_LEAST = 0.5, 1.5, 1.8


def measurements(data: Data, rounds: int) -> list[Measurement]:
    """Start-up times, and the gain of a second process on the quickstart comparison, one seed.

    :raises SystemExit: if the number of processes changes a result.
    """
    starts = [
        Measurement(
            name=name,
            title=f"cl-strategies {' '.join(arguments)}",
            values=[_seconds(*arguments) for _ in range(rounds + 1)][1:],
            unit="s",
            most=most,
        )
        for name, arguments, most in (
            ("start-help", ["--help"], HELP_MOST),
            ("start-list", ["list", "strategies"], LIST_MOST),
        )
    ]
    return [*starts, _two_processes()]


def _two_processes() -> Measurement:
    folder = Path(tempfile.mkdtemp())
    try:
        seconds = {
            jobs: _seconds(*SUITE, "--jobs", str(jobs), "--out", str(folder / str(jobs)))
            for jobs in (2, 1)
        }
        one, two = (_numbers(folder / str(jobs) / "summary.csv") for jobs in (1, 2))
    finally:
        shutil.rmtree(folder)
    if one != two:
        raise SystemExit("quickstart: one process and two give different numbers")
    return Measurement(
        name="two-processes",
        title="Quickstart comparison, one seed: one process / two processes",
        values=[seconds[1] / seconds[2]],
        proof="same summary, but for times",
        least=TWO_LEAST,
    )


def _numbers(summary: Path) -> list[dict[str, str]]:
    with summary.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if "seconds" not in row["metric"]]


def _seconds(*arguments: str) -> float:
    command = [str(Path(sys.executable).with_name("cl-strategies")), *arguments]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_environment())
    return time.perf_counter() - start


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}

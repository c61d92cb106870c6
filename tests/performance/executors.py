"""What Ray costs beside plain processes: on runs of 30 seconds, on short ones, on empty ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loops import Data
from measurement import Measurement

JOBS, LONG_RUNS, SHORT_RUNS, EMPTY_RUNS = 2, 4, 20, 10_000
LONG_SECONDS, TRIAL_EPOCHS, SHORT_EPOCHS = 30.0, 60, 20
#: A machine that gets slower or faster evenly favors neither.
ORDER = ("process", "ray", "ray", "process")
RATIO_MOST, SECONDS_MOST = 1.10, 2.0
PROOF = "same numbers of every run"


@dataclass(frozen=True)
class Timing:
    """Seconds of one comparison.

    :param command: from its start to its end.
    :param start: until the first run was under way.
    :param busy: from then until the last run had ended.
    :param inside: of training and evaluation, in all runs together.
    """

    runs: int
    command: float
    start: float
    busy: float
    inside: float

    @property
    def besides(self) -> float:
        """Seconds of a worker for each run, but for its training and evaluation."""
        return (JOBS * self.busy - self.inside) / self.runs

    @property
    def per_hour(self) -> float:
        """Runs that a core does in an hour, without the start."""
        return 3600 * self.runs / (JOBS * self.busy)


def long_runs(data: Data, rounds: int) -> list[Measurement]:
    """Needs Ray. Fixed rounds: the two executors in the order :data:`ORDER`.

    :raises SystemExit: if they give different numbers.
    """
    trial = _comparison("process", JOBS, TRIAL_EPOCHS)[0]
    epochs = max(1, round(TRIAL_EPOCHS * LONG_SECONDS * JOBS / trial.inside))
    timings = _both(LONG_RUNS, epochs)
    seconds = timings["process"][0].inside / LONG_RUNS
    made = f"{LONG_RUNS} runs of {seconds:.0f} s, {JOBS} at a time"
    return [
        Measurement(
            name="ray-runs",
            title=f"{made}, from the first run's start to the last one's end: Ray / processes",
            values=[ray.busy / process.busy for process, ray in _pairs(timings)],
            proof=PROOF,
            most=RATIO_MOST,
        ),
        Measurement(
            name="ray-command",
            title=f"{made}, the whole command with its start: Ray / processes",
            values=[ray.command / process.command for process, ray in _pairs(timings)],
            proof=PROOF,
        ),
        *_seconds("long", timings),
    ]


def short_runs(data: Data, rounds: int) -> list[Measurement]:
    """Likewise, and what Ray's driver can schedule."""
    return [
        *_seconds("short", _both(SHORT_RUNS, SHORT_EPOCHS)),
        Measurement(
            name="ray-driver",
            title=f"Ray's driver, {EMPTY_RUNS:,} empty runs: milliseconds per run",
            values=[1000 * _driver_seconds() / EMPTY_RUNS],
            unit="ms",
        ),
    ]


def _seconds(kind: str, timings: dict[str, list[Timing]]) -> list[Measurement]:
    run = timings["process"][0]
    each = f"{run.runs} runs of {run.inside / run.runs:.1f} s"
    return [
        Measurement(
            name=f"ray-adds-{kind}",
            title=f"Seconds that Ray adds to each of {each}",
            values=[JOBS * (b.busy - a.busy) / a.runs for a, b in _pairs(timings)],
            unit="s",
            proof=PROOF,
            most=SECONDS_MOST if kind == "short" else None,  # long ones have a share of their own
        ),
        *(
            Measurement(
                name=f"{name}-{what}-{kind}",
                title=f"{title}, {each}: {name}",
                values=[getattr(timing, what) for timing in found],
                unit="" if what == "per_hour" else "s",
            )
            for what, title in (
                ("besides", "A worker's seconds besides training and evaluation, for each run"),
                ("start", "Seconds until the first run is under way"),
                ("per_hour", "Runs per hour and core"),
            )
            for name, found in timings.items()
        ),
    ]


def _both(runs: int, epochs: int) -> dict[str, list[Timing]]:
    """Two comparisons with each executor."""
    timings: dict[str, list[Timing]] = {name: [] for name in ORDER}
    expected: Any = None
    for name in ORDER:
        timing, numbers = _comparison(name, runs, epochs)
        timings[name].append(timing)
        expected = expected or numbers
        if numbers != expected:
            raise SystemExit("processes and Ray give different numbers")
    return timings


def _pairs(timings: dict[str, list[Timing]]) -> list[tuple[Timing, Timing]]:
    return list(zip(timings["process"], timings["ray"], strict=True))


def _comparison(executor: str, runs: int, epochs: int) -> tuple[Timing, Any]:
    """Times and numbers of ``runs`` seeds of plain fine-tuning on split-digits."""
    out = Path(tempfile.mkdtemp())
    command = [
        *(str(Path(sys.executable).with_name("cl-strategies")), "compare"),
        *("--benchmark", "split-digits", "--strategies", "naive", "--seeds", f"0-{runs - 1}"),
        *("--set", f"train.epochs={epochs}", "--executor", executor, "--jobs", str(JOBS)),
        *("--out", str(out)),
    ]
    try:
        began = time.time()
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        took = time.time() - began
        folders = sorted(out.glob("runs/*"))
        first = min((folder / "config.toml").stat().st_mtime for folder in folders)
        last = max((folder / "result.json").stat().st_mtime for folder in folders)
        results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    finally:
        shutil.rmtree(out)
    inside = sum(sum(part) for result in results for part in result["seconds"].values())
    return (
        Timing(runs, took, first - began, last - first, inside),
        [(result["config_hash"], result["accuracy_matrix"]) for result in results],
    )


def _empty(*_: Any) -> tuple[str, bool]:
    return "empty", False


def _driver_seconds() -> float:
    """From the first outcome to the last, so without Ray's start."""
    from cl_strategies.experiment.config.run_config import ExperimentConfig
    from cl_strategies.experiment.sweep import ray_executor

    names = {"benchmark": {"name": "split-digits"}, "strategy": {"name": "naive"}}
    configs = [
        ExperimentConfig.from_dict({**names, "run": {"seed": seed}}) for seed in range(EMPTY_RUNS)
    ]
    work = ray_executor.work
    ray_executor.work = _empty
    try:
        outcomes = ray_executor.RayExecutor()(configs, Path(tempfile.gettempdir()))
        next(outcomes)
        began = time.perf_counter()
        left = sum(1 for _ in outcomes)
        took = time.perf_counter() - began
    finally:
        ray_executor.work = work
    if left != EMPTY_RUNS - 1:
        raise SystemExit(f"Ray's driver: {left + 1} outcomes of {EMPTY_RUNS}")
    return took

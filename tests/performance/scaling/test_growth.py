"""What an experience costs late in a stream of 200, against early in the same run.

Seconds are those of the processor, so that other work on the machine does not count.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run

EXPERIENCES, EARLY, LATE = 200, 20, 190
AROUND = 8
#: Time at experience 200 against that at 20, for methods whose finished tasks are fixed.
MOST = 1.5
#: Bytes of a checkpoint for each experience, for methods whose memory is of constant size.
MOST_BYTES = 1024
FIXED = ("halrp", "wsn", "batch-norm", "batch-ensemble", "single-task")
CONSTANT: Mapping[str, dict[str, Any]] = {
    "naive": {},
    "si": {},
    "alasso": {},
    "ewc": {},
    "mas": {},
    "lwf": {},
    "replay": {"mem_size": 200},
    "agem": {"patterns_per_experience": 1, "sample_size": 16},
}


@dataclass(frozen=True)
class Growth:
    """One run.

    :param seconds: of each experience, with its evaluation and its checkpoint.
    :param bytes: of the checkpoint after each experience.
    """

    seconds: list[float]
    bytes: list[int]

    def ratio(self) -> float:
        """The least around :data:`LATE` over that around :data:`EARLY`: who shares the processor
        and its caches adds to a time, and never takes from it."""
        early, late = (min(self.seconds[at - AROUND : at + AROUND]) for at in (EARLY, LATE))
        return late / early

    def bytes_per_experience(self) -> float:
        return (self.bytes[-1] - self.bytes[EARLY]) / (len(self.bytes) - 1 - EARLY)


def measured(config: ExperimentConfig, out: Path) -> Growth:
    checkpoint = RunDirectory(out, config).checkpoint
    seconds: list[float] = []
    sizes: list[int] = []
    before = time.process_time()

    def progress(done: int, total: int) -> None:
        nonlocal before
        if done:
            seconds.append(time.process_time() - before)
            sizes.append(checkpoint.stat().st_size)
        before = time.process_time()

    record = run(config, out, progress=progress)
    assert record.finished, record.error
    return Growth(seconds, sizes)


def configured(
    strategy: str, scenario: str, *, epochs: int, **run_options: Any
) -> ExperimentConfig:
    return ExperimentConfig.from_dict(
        {
            "benchmark": {
                "name": "permuted-digits",
                "n_experiences": EXPERIENCES,
                "scenario": scenario,
            },
            "model": {"name": "mlp", "hidden": [100, 100]},  # of quickstart
            "train": {"epochs": epochs},
            "strategy": {"name": strategy, **CONSTANT.get(strategy, {})},
            "run": run_options,
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("strategy", FIXED)
def test_an_experience_late_in_a_stream_takes_as_long_as_an_early_one(strategy, tmp_path):
    growth = measured(configured(strategy, "task", epochs=6), tmp_path)
    print(f"{strategy}: {growth.ratio():.2f} x, {growth.bytes_per_experience():.0f} bytes")
    assert growth.ratio() <= MOST


@pytest.mark.slow
@pytest.mark.parametrize("strategy", CONSTANT)
def test_checkpoints_of_a_memory_of_constant_size_do_not_grow(strategy, tmp_path):
    config = configured(strategy, "domain", epochs=1, evaluate_every=EXPERIENCES)
    growth = measured(config, tmp_path)
    print(f"{strategy}: {growth.bytes_per_experience():.0f} bytes")
    assert growth.bytes_per_experience() <= MOST_BYTES

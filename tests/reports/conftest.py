"""Synthetic runs: the numbers are made up, no strategy was trained."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.plugins.metrics import functional
from cl_strategies.results.checksum import sealed
from cl_strategies.results.record import RunRecord, write_result

MakeRecord = Callable[..., RunRecord]


def _optional(value: float) -> float | None:
    return None if math.isnan(value) else value


def _matrix(tasks: int, keep: float) -> list[list[float | None]]:
    return [[0.9 * keep ** (t - i) if i <= t else None for i in range(tasks)] for t in range(tasks)]


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    """A factory of valid records."""

    def make(
        strategy: str = "synthetic-a",
        *,
        benchmark: str = "synthetic-stream",
        seed: int = 0,
        tasks: int = 3,
        keep: float = 0.8,
        matrix: Sequence[Sequence[float | None]] | None = None,
        order: Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
        benchmark_options: dict[str, Any] | None = None,
        train: dict[str, Any] | None = None,
        metrics: dict[str, float | None] | None = None,
        failed: bool = False,
        message: str = "the loss is nan",
    ) -> RunRecord:
        rows = [list(row) for row in (matrix or _matrix(tasks, keep))]
        tasks = len(rows)
        computed = {
            "average_accuracy": functional.average_accuracy(rows),
            "average_incremental_accuracy": functional.average_incremental_accuracy(rows),
            "backward_transfer": functional.backward_transfer(rows),
            "forgetting": functional.forgetting(rows),
            "relative_forgetting": functional.forgetting(rows, relative=True),
            "learning_accuracy": functional.learning_accuracy(rows),
            "train_seconds": 1.5 * tasks + seed,
            "parameter_bytes": 4096.0,
            "method_state_bytes": 1024.0 * tasks,
        }
        recorded = {name: _optional(value) for name, value in computed.items()} | (metrics or {})
        config: dict[str, Any] = {
            "benchmark": {"name": benchmark, "order": None, **(benchmark_options or {})},
            "model": {"name": "mlp"},
            "train": {"epochs": 1, **(train or {})},
            "strategy": {"name": strategy, **(options or {})},
            "run": {"seed": seed, "device": "cpu"},
        }
        identity = json.dumps([config, order], default=str).encode()
        return RunRecord(
            status="failed" if failed else "finished",
            error={"kind": "diverged", "message": message, "traceback": "Traceback (synthetic)"}
            if failed
            else None,
            config=config,
            config_hash=f"{seed:04x}{hashlib.sha256(identity).hexdigest()[:8]}",
            task_order=list(range(tasks)) if order is None else list(order),
            accuracy_matrix=rows[:1] if failed else rows,
            seconds={"train": [1.5] * tasks, "evaluation": [0.25] * tasks},
            bytes={"parameters": [4096] * tasks, "method_state": [1024] * tasks},
            memory={"peak": [2**20] * tasks},
            metrics={} if failed else recorded,
        )

    return make


@pytest.fixture(scope="session")
def joint_matrix() -> list[list[float | None]]:
    """Joint training: nothing but the last row is measured."""
    return [[None] * 3, [None] * 3, [0.95, 0.9, 0.85]]


def _write(
    folder: Path, records: Sequence[RunRecord], environment: dict[str, Any] | None = None
) -> Path:
    for k, record in enumerate(records):
        directory = folder / "runs" / f"run-{k:03d}"
        directory.mkdir(parents=True)
        write_result(directory / "result.json", record)
        if environment is not None:
            (directory / "environment.json").write_text(json.dumps(sealed(environment)))
    return folder


@pytest.fixture
def write_runs(tmp_path: Path) -> Callable[..., Path]:
    """Write records as run directories below a fresh directory and return it."""
    return functools.partial(_write, tmp_path)


@pytest.fixture(scope="module")
def nine_runs(make_record, joint_matrix, tmp_path_factory) -> Path:
    """Runs of two benchmarks, one of which failed, and two that cannot be read; to be copied."""
    records = [
        make_record(name, seed=seed, keep=keep + 0.02 * seed)
        for name, keep in (("naive", 0.5), ("synthetic-a", 0.8), ("synthetic-b", 0.79))
        for seed in range(2)
    ]
    records += [
        make_record("joint", matrix=joint_matrix),
        make_record("synthetic-a", benchmark="other-stream", tasks=12),
        make_record("synthetic-c", benchmark="other-stream", tasks=12, failed=True),
    ]
    environment = {"versions": {"torch": "0.0.synthetic"}, "device": "cpu"}
    out = _write(tmp_path_factory.mktemp("nine-runs"), records, environment)
    (out / "runs" / "damaged").mkdir()
    (out / "runs" / "damaged" / "result.json").write_text("{")
    (out / "runs" / "interrupted").mkdir()
    return out


@pytest.fixture
def comparison(nine_runs: Path, tmp_path: Path) -> Path:
    """A copy of ``nine_runs`` that a test may change."""
    return Path(shutil.copytree(nine_runs, tmp_path / "comparison"))

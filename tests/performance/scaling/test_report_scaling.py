"""Reports of many runs and of many variants: processor time and memory of the whole command."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from cl_strategies.plugins.metrics import functional
from cl_strategies.results.checksum import sealed
from cl_strategies.results.record import RunRecord, write_result

TASKS = 10
GIB = 2**30


def write_runs(out: Path, *, benchmarks: int, variants: int, seeds: int) -> Path:
    """Finished runs with all that lies beside a result; the numbers are drawn at random."""
    for benchmark in range(benchmarks):
        for variant in range(variants):
            for seed in range(seeds):
                record = made_up(benchmark, variant, seed)
                folder = out / "runs" / f"run-{record.config_hash}"
                folder.mkdir(parents=True)
                write_result(folder / "result.json", record)
                (folder / "config.toml").write_text(tomli_w.dumps(record.config))
                environment = sealed({"packages": {"torch": "0.0"}, "device": "cpu", "cores": 2})
                (folder / "environment.json").write_text(json.dumps(environment))
                rows = [
                    json.dumps(sealed({"experience": t, "accuracy": row[: t + 1]}))
                    for t, row in enumerate(record.accuracy_matrix)
                ]
                (folder / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    return out


def made_up(benchmark: int, variant: int, seed: int) -> RunRecord:
    """A run of ``TASKS`` tasks."""
    rng = random.Random(f"{benchmark} {variant} {seed}")
    matrix = [
        [rng.uniform(0.3, 0.9) if i <= t else None for i in range(TASKS)] for t in range(TASKS)
    ]
    config = {
        "benchmark": {"name": f"stream-{benchmark}", "n_experiences": TASKS, "stream_seed": 0},
        "model": {"name": "mlp", "hidden": [256, 256]},
        "train": {"epochs": 6, "batch_size": 64, "optimizer": "adam", "lr": 0.001},
        "strategy": {"name": f"strategy-{variant % 8}", "strength": 0.1 * (1 + variant // 8)},
        "run": {"seed": seed, "device": "cpu"},
    }
    return RunRecord(
        status="finished",
        error=None,
        config=config,
        config_hash=hashlib.sha256(json.dumps(config).encode()).hexdigest()[:12],
        task_order=range(TASKS),
        accuracy_matrix=matrix,
        seconds={"train": [rng.uniform(1, 2) for _ in range(TASKS)], "evaluation": [0.5] * TASKS},
        bytes={"parameters": [10**6] * TASKS, "method_state": [10**4 * (variant + 1)] * TASKS},
        memory={"peak": [3 * 10**8] * TASKS},
        metrics={
            "average_accuracy": functional.average_accuracy(matrix),
            "forgetting": functional.forgetting(matrix),
            "train_seconds": rng.uniform(10, 20),
            "parameter_bytes": 1e6,
            "method_state_bytes": 1e4 * (variant + 1),
        },
    )


def cost(out: Path) -> tuple[float, int]:
    """Seconds of processor time and the largest memory (bytes) of ``cl-strategies report``."""
    command = [sys.executable, "-m", "cl_strategies", "report", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0 and (out / "report.html").exists()
    return usage.ru_utime + usage.ru_stime, 1024 * usage.ru_maxrss


@pytest.fixture(autouse=True)
def no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def test_ten_thousand_runs_take_less_than_a_minute_and_a_gigabyte(tmp_path: Path) -> None:
    seconds, memory = cost(write_runs(tmp_path, benchmarks=10, variants=20, seeds=50))
    print(f"10,000 runs: {seconds:.1f} s, {memory / 2**20:.0f} MiB")
    assert seconds < 60
    assert memory < GIB


@pytest.mark.parametrize(("seeds", "most"), [(25, 2), (5, 2.5)], ids=["same runs", "more runs"])
def test_fifty_variants_cost_at_most_twice_ten(tmp_path: Path, seeds: int, most: float) -> None:
    """Of as many runs in all; of five times as many runs, which have to be read, a little more."""
    few = write_runs(tmp_path / "few", benchmarks=1, variants=10, seeds=seeds)
    many = write_runs(tmp_path / "many", benchmarks=1, variants=50, seeds=5)
    ratio = min(cost(many)[0] for _ in range(3)) / min(cost(few)[0] for _ in range(3))
    print(f"50 variants: {ratio:.2f} x ten")
    assert ratio <= most

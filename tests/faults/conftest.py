"""Tiny comparisons to break, and what must be equal after each repair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.cli import main

SETTINGS = (
    "train.epochs=1",
    "benchmark.n_experiences=2",
    "benchmark.fraction=0.2",
    "model.hidden=[8]",
)


@pytest.fixture(scope="session")
def command():
    """The arguments of a comparison of two runs in ``out``."""

    def make(out: Path, *more: str, settings: tuple[str, ...] = SETTINGS) -> list[str]:
        sets = [part for setting in settings for part in ("--set", setting)]
        return [
            *("compare", "--benchmark", "split-digits", "--strategies", "si,replay", *sets),
            *("--out", str(out), *(more or ("--executor", "serial"))),
        ]

    return make


@pytest.fixture(scope="session")
def numbers():
    """Everything that runs recorded and a report says, but the times and memory."""

    def read(out: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path in sorted(Path(out).glob("runs/*/result.json")):
            result = json.loads(path.read_text())
            del result["seconds"], result["memory"], result["checksum"]
            result["metrics"].pop("train_seconds", None)
            found[path.parent.name] = result
        rows = (Path(out) / "summary.csv").read_text().splitlines()
        found["summary"] = [row for row in rows if "seconds" not in row]
        return found

    return read


@pytest.fixture(scope="session")
def whole(tmp_path_factory, command, numbers):
    """The numbers of the comparison that nothing has disturbed."""
    out = tmp_path_factory.mktemp("whole")
    assert main(command(out)) == 0
    return numbers(out)

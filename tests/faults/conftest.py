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


@pytest.fixture(scope="module")
def nothing_is_trained(tmp_path_factory):
    """Runs end where training would begin, in a folder of their own."""
    from cl_strategies import errors
    from cl_strategies.experiment.engine import runner
    from cl_strategies.experiment.sweep import executors, ray_executor
    from cl_strategies.experiment.sweep import preflight as checks

    checked = set()

    def stopped(config, out, **options):
        if (key := config.with_seed(0)).hash not in checked:
            checks.check_configs([key])
            checked.add(key.hash)
        raise errors.UserError("stopped before training")

    def here(executor, configs, out, **options):
        return executors.serial(configs, out)

    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "run", stopped)
        patch.setitem(executors.EXECUTORS, "process", executors.serial)
        patch.setattr(ray_executor.RayExecutor, "__call__", here)
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        patch.delenv("CL_STRATEGIES_DATA", raising=False)
        yield folder

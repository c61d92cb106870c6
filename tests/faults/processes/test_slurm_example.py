"""The example script of the documentation, started as Slurm would start it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cl_strategies.cli import main

SCRIPT = Path(__file__).parents[3] / "docs" / "examples" / "slurm-array.sh"
SUITE = """
[train]
epochs = 1
[model]
hidden = [8]
[[benchmarks]]
name = "split-digits"
n_experiences = 2
fraction = 0.2
[[strategies]]
name = "si"
[[strategies]]
name = "replay"
"""


def submitted(array: list[int], task: int, *paths: Path) -> subprocess.CompletedProcess[str]:
    """What one task of an array does."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SLURM_ARRAY_TASK_MIN": str(min(array)),
        "SLURM_ARRAY_TASK_MAX": str(max(array)),
        "SLURM_ARRAY_TASK_COUNT": str(len(array)),
        "SLURM_ARRAY_TASK_ID": str(task),
    }
    command = ["bash", str(SCRIPT), *map(str, paths)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_an_array_with_gaps_is_refused(tmp_path):
    done = submitted([1, 3], 3, tmp_path / "suite.toml", tmp_path / "out")
    assert done.returncode == 2 and "gaps" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_array_of_jobs_computes_the_suite_between_them(tmp_path, numbers, whole):
    suite, out = tmp_path / "suite.toml", tmp_path / "out"
    suite.write_text(SUITE)
    first, last = 3, 4
    for task in (first, last):
        done = submitted([first, last], task, suite, out)
        assert done.returncode == 0, done.stderr
        assert len(list(out.glob("runs/*/result.json"))) == task - first + 1
    assert main(["report", str(out)]) == 0
    assert numbers(out) == whole

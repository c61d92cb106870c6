"""The example script of the documentation, started as Slurm would start it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cl_strategies.cli import main

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "slurm-array.sh"
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


@pytest.mark.slow
def test_an_array_of_jobs_computes_the_suite_between_them(tmp_path, numbers, whole):
    suite, out = tmp_path / "suite.toml", tmp_path / "out"
    suite.write_text(SUITE)
    first, last = 3, 4
    array = {"SLURM_ARRAY_TASK_MIN": str(first), "SLURM_ARRAY_TASK_MAX": str(last)}
    here = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for task in (first, last):
        environment = {**os.environ, **here, **array, "SLURM_ARRAY_TASK_ID": str(task)}
        subprocess.run(
            ["bash", str(SCRIPT), str(suite), str(out)],
            check=True,
            env=environment,
            capture_output=True,
        )
        assert len(list(out.glob("runs/*/result.json"))) == task - first + 1
    assert main(["report", str(out)]) == 0
    assert numbers(out) == whole

"""CONTRIBUTING.md, followed literally: its method is built in a copy of the package, and used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)

USE = """
import runpy, sys
from pathlib import Path

from cl_strategies.cli import main
from cl_strategies.plugins import ToyPlugin
from cl_strategies.strategies import Toy

assert ToyPlugin(power=2).surrogate.power == 2.0
assert main(["list", "strategies"]) == 0
assert main(["show", "toy"]) == 0
assert main(["run", "--benchmark", "split-digits", "--strategy", "toy", "--set",
             "strategy.power=-1", "--out", "refused"]) == 2
assert main(["compare", "--benchmark", "split-digits", "--strategies", "naive,toy", "--executor",
             "serial", "--set", "benchmark.n_experiences=2", "--out", "out"]) == 0
runpy.run_path("tests/test_toy.py")["test_large_parameters_are_more_important"]()
sys.argv = ["parameters.py", "docs"]
runpy.run_path("docs/parameters.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def steps() -> dict[str, str]:
    """The blocks of the section by the file that they are, or the one that they are a line of."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text[text.index("## Add a method") : text.index("## Rules")]
    blocks = [match[2] for match in FENCE.finditer(section)]
    files = [
        "plugins/regularization/toy.py",
        "cl_strategies/strategies/toy.py",
        "plugins/__init__.pyi",
        "cl_strategies/strategies/__init__.pyi",
        "cl_strategies/strategies/catalog/one_network.py",
        "tests/strategies/test_toy.py",
        "docs/methods/toy.md",
    ]
    assert len(blocks) == len(files) and all(file in section for file in files)
    return dict(zip(files, blocks, strict=True))


def test_a_method_takes_four_files_and_says_no_option_twice(steps):
    new = [file for file in steps if not (ROOT / file).exists()]
    assert len(new) == 4
    assert sum(block.count("power:") for block in steps.values()) == 1


@pytest.mark.slow
def test_the_steps_give_a_method_that_lists_runs_and_reports(steps, tmp_path):
    package = tmp_path / "site" / "cl_strategies"
    ignored = shutil.ignore_patterns("__pycache__", "published")
    shutil.copytree(ROOT / "cl_strategies", package, ignore=ignored)
    for folder in ("plugins", "benchmarks", "reports"):
        shutil.copytree(ROOT / folder, package / folder, ignore=ignored)
    (tmp_path / "docs").mkdir()
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "docs" / "parameters.py", tmp_path / "docs")
    for file, block in steps.items():
        folder, _, rest = file.partition("/")
        if folder in ("docs", "tests"):
            path = tmp_path / folder / Path(file).name
        else:
            path = package / (rest if folder == "cl_strategies" else file)
        if "/catalog/" in file:
            rows = path.read_text()
            assert rows.rstrip().endswith(")")
            path.write_text(rows.rstrip()[:-1] + block + ")\n")
        else:
            with open(path, "a") as lines:
                lines.write(block)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", USE],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Penalty on changes of large parameters." in done.stdout
    assert "power" in done.stdout and "Power of the magnitude of a parameter." in done.stdout
    assert "toy.power is -1" in done.stderr
    assert "toy" in (tmp_path / "out" / "report.html").read_text()
    page = (tmp_path / "docs" / "toy.md").read_text()
    assert "| `power` | `1.0` | 0 or more | Power of the magnitude of a parameter. |" in page
    assert "| `strength` |" in page

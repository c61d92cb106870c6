"""The pages about own data, followed from an empty folder: files are written, commands run."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from cl_strategies.cli import main
from cl_strategies.experiment.sweep import executors

PAGES = Path(__file__).parents[2] / "docs" / "own-data"
BLOCK = re.compile(r"```(python|toml|console)\n(.*?)```", re.DOTALL)
#: A file that every page leaves behind, and what its report or output names.
LEFT = {"folders": "table-results/report.html", "python": "digits-results/report.html"}


@pytest.mark.parametrize("page", ["folders", "python", "avalanche"])
def test_every_block_runs_in_turn(page, tmp_path, monkeypatch, undrawn, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(executors.EXECUTORS, "process", executors.serial)  # no time to start any
    blocks = BLOCK.findall((PAGES / f"{page}.md").read_text())
    assert len(blocks) >= 2
    for kind, text in blocks:
        if kind == "console":
            for line in text.splitlines():
                command, *arguments = shlex.split(line)
                assert command == "cl-strategies" and main(arguments) == 0, line
            continue
        name = re.match(r"# (\S+)", text)[1]
        Path(name).write_text(text)
        if kind == "python":
            runpy.run_path(name, run_name="__main__")
    assert (tmp_path / LEFT.get(page, "results/report.html")).exists()
    if page == "avalanche":
        assert re.search(r"\(\d+(, \d+){4}\) \[\]", capsys.readouterr().out)

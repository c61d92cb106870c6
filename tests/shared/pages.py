"""Follows a page from an empty folder: files are written, scripts and commands run, in turn."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from cl_strategies.cli import main
from cl_strategies.experiment.sweep import executors

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```(python|toml|console)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.\w+)\n")


def blocks(page: str) -> list[tuple[str, str]]:
    """The blocks of a page that can be run, with their kinds."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def follow(
    page: str,
    folder: Path,
    patch: pytest.MonkeyPatch,
    smaller: Sequence[tuple[str, str]] = (),
    small_runs: Sequence[str] = (),
) -> None:
    """Do what a page says in ``folder``.

    :param smaller: pairs of patterns and replacements that make what files say cheap.
    :param small_runs: arguments that make each run of a command cheap.
    """
    patch.chdir(folder)
    patch.setattr(sys, "path", [str(folder), *sys.path])
    patch.setitem(executors.EXECUTORS, "process", executors.serial)  # no time to start any
    for number, (kind, text) in enumerate(blocks(page)):
        for pattern, replacement in smaller:
            text = re.sub(pattern, replacement, text)
        named = FILE.match(text)
        file = folder / (named[1] if named else f"block-{number}.{kind}")
        if kind == "console":
            for line in text.splitlines():
                command, *arguments = shlex.split(line)
                more = small_runs if arguments[0] in ("run", "compare") else ()
                assert command == "cl-strategies", line
                assert main([*arguments, *more]) == 0, line
        elif kind == "toml":
            tomllib.loads(text)
            file.write_text(text)
        else:
            file.write_text(text)
            runpy.run_path(str(file), run_name="__main__")

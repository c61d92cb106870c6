"""Everything that stands in ``OUT/runs``: finished and failed runs, ruins and gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.printable import printable
from cl_strategies.reports.literature import PublishedTable
from cl_strategies.reports.schema import RunRecord, load_result
from cl_strategies.reports.sidecars import log_faults, read_environment, read_picture


@dataclass(frozen=True, kw_only=True)
class Run:
    """A readable run.

    :param directory: name of its directory inside ``runs``.
    :param record: its ``result.json``.
    :param environment: its ``environment.json``; empty if there is none.
    :param exemplars: its ``exemplars.png``, likewise.
    """

    directory: str
    record: RunRecord
    environment: Mapping[str, Any] = field(default_factory=dict)
    exemplars: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A file that could not be read.

    :param file: its path below ``OUT``.
    :param message: what is wrong with it.
    """

    file: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What was found, each part sorted by name.

    :param runs: readable runs, finished or failed.
    :param problems: damaged files.
    :param unfinished: run directories without a ``result.json``.
    :param published: tables of papers that belong to the comparison.
    """

    runs: tuple[Run, ...]
    problems: tuple[Problem, ...] = ()
    unfinished: tuple[str, ...] = ()
    published: tuple[PublishedTable, ...] = ()


def collect(source_dir: Path | str) -> Collection:
    """Read every run below ``source_dir``.

    :param source_dir: the directory that was given as ``--out``.
    :raises UserError: if there are no run directories in it.
    """
    source = Path(source_dir)
    root = source / "runs"
    directories = (
        sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        if root.is_dir()
        else []
    )
    if not directories:
        hint = f" Did you mean {source.parent}?" if source.name == "runs" else ""
        raise UserError(
            f"no runs found in {source}: expected {root}/<run>/result.json. "
            f"Give the directory that `run` or `compare` got as --out.{hint}"
        )
    runs: list[Run] = []
    problems: list[Problem] = []
    unfinished: list[str] = []
    for directory in directories:
        if not (directory / "result.json").exists():
            unfinished.append(printable(directory.name))
            continue
        try:
            record = load_result(directory / "result.json")
        except UserError as error:
            problems.append(_problem(source, directory / "result.json", str(error)))
            continue
        environment, fault = read_environment(directory / "environment.json")
        if fault:
            problems.append(_problem(source, directory / "environment.json", fault))
        problems += [_problem(source, *found) for found in log_faults(directory, record)]
        pictures, fault = read_picture(directory / "exemplars.png")
        if fault:
            problems.append(_problem(source, directory / "exemplars.png", fault))
        runs.append(
            Run(
                directory=printable(directory.name),
                record=record,
                environment=environment,
                exemplars=pictures,
            )
        )
    return Collection(runs=tuple(runs), problems=tuple(problems), unfinished=tuple(unfinished))


def _problem(source: Path, path: Path, message: str) -> Problem:
    """The report may be published, so it names files by their place below ``source``."""
    file = path.relative_to(source).as_posix()
    message = message.replace(f"{path}: ", "").replace(str(path), file)
    return Problem(file=printable(file), message=printable(message))

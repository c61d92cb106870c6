"""Everything that stands in ``OUT/runs``: finished and failed runs, ruins and gaps."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.errors.text import printable
from cl_strategies.plugins.continual_evaluation.trace import Trace
from cl_strategies.plugins.continual_evaluation.trace_file import FILE as TRACE
from cl_strategies.reports.reading.side_files import (
    export_beside,
    log_faults,
    read_environment,
    read_picture,
    trace_beside,
)
from cl_strategies.results.export import FILE as EXPORT
from cl_strategies.results.export import Exported
from cl_strategies.results.heading import Origin
from cl_strategies.results.published import PublishedTable
from cl_strategies.results.record import RunRecord, load_result
from cl_strategies.validation.plain_data import shown


@dataclass(frozen=True, kw_only=True)
class Run:
    """A readable run.

    :param directory: name of its directory inside ``runs``.
    :param record: its ``result.json``.
    :param environment: its ``environment.json``; empty if there is none.
    :param exemplars: its ``exemplars.png``, likewise.
    :param trace: its ``trace.npz``; ``None`` if there is none.
    :param export: its ``export.json``, likewise.
    """

    directory: str
    record: RunRecord
    environment: Mapping[str, Any] = field(default_factory=dict)
    exemplars: bytes = b""
    trace: Trace | None = None
    export: Exported | None = None

    @property
    def environments(self) -> list[Mapping[str, Any]]:
        """Where its parts were computed, in turn: more than one if it was continued elsewhere."""
        if not self.environment:
            return []
        now = {key: value for key, value in self.environment.items() if key != "earlier"}
        earlier = self.environment.get("earlier")
        tables = earlier if isinstance(earlier, list) else []
        return [*(table for table in tables if isinstance(table, Mapping)), now]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A file or run directory that is not used.

    :param file: its path below ``OUT``.
    :param message: what is wrong with it.
    """

    file: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What was found, each part sorted by name.

    :param runs: readable runs, finished or failed.
    :param problems: damaged files, directories that cannot be read, and copies.
    :param unfinished: run directories without a ``result.json``.
    :param published: tables of papers that belong to the comparison.
    :param origin: what asked for the comparison, if that was written down.
    """

    runs: tuple[Run, ...]
    problems: tuple[Problem, ...] = ()
    unfinished: tuple[str, ...] = ()
    published: tuple[PublishedTable, ...] = ()
    origin: Origin | None = None


def collect(source_dir: Path | str) -> Collection:
    """Read every run below ``source_dir``. What cannot be read is a problem of its own, and so is
    a second directory with the same run: copies would be counted as repetitions.

    :param source_dir: the directory that was given as ``--out``.
    :raises UserError: if it is no path, there are no run directories in it, or it cannot be read.
    """
    source = checked_folder("source_dir", source_dir)
    records: dict[Path, RunRecord] = {}
    problems: list[Problem] = []
    unfinished: list[str] = []
    for directory in _entries(source):
        try:
            if not stat.S_ISDIR(_mode(directory)):
                continue
            if _mode(directory / "result.json"):
                records[directory] = load_result(directory / "result.json")
            else:
                unfinished.append(printable(directory.name))
        except UserError as error:
            problems.append(_problem(source, directory / "result.json", str(error)))
        except OSError as error:
            advice = "make it readable, or move it out of runs"
            problems.append(
                _problem(source, directory, f"cannot be read ({error.strerror}): {advice}")
            )
    if not (records or problems or unfinished):
        hint = f" Did you mean {source.parent}?" if source.name == "runs" else ""
        raise UserError(
            f"no runs found in {source}: expected {source / 'runs'}/<run>/result.json. "
            f"Give the directory that `run` or `compare` got as --out.{hint}"
        )
    for directory, original in _copies(records).items():
        del records[directory]
        message = f"the same run as {original.name}, which is counted: delete this one"
        problems.append(_problem(source, directory, message))
    runs = []
    for directory, record in records.items():
        run, faults = _with_sidecars(directory, record)
        runs.append(run)
        problems += [_problem(source, *fault) for fault in faults]
    return Collection(
        runs=tuple(runs),
        problems=tuple(sorted(problems, key=lambda problem: problem.file)),
        unfinished=tuple(unfinished),
    )


def checked_folder(name: str, value: object) -> Path:
    """Return the argument ``name`` as a path.

    :raises UserError: if it is none.
    """
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise UserError(f"{name} is {shown(value)}: give the path of a folder")
    return Path(value)


def _entries(source: Path) -> list[Path]:
    """Return what lies in ``runs``, sorted by name; nothing if there is no such directory."""
    root = source / "runs"
    try:
        if not stat.S_ISDIR(_mode(root)):
            return []
        return sorted(path for path in root.iterdir() if not path.name.startswith("."))
    except (OSError, ValueError) as error:  # text that no path can hold is a ValueError
        raise UserError(
            f"cannot read {root} ({getattr(error, 'strerror', None) or error}). Give the directory "
            "that `run` or `compare` got as --out, and make it readable."
        ) from error


def _mode(path: Path) -> int:
    """Return what ``path`` leads to, 0 if that is nothing. Not :meth:`Path.exists`: whether it
    raises or says no where it is not allowed to look depends on the version of Python.

    :raises OSError: if the system does not say.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _copies(records: Mapping[Path, RunRecord]) -> dict[Path, Path]:
    """Directories whose run another one holds, too, and that one: named after the run's hash,
    as :attr:`ExperimentConfig.slug` is, or else the first."""

    def order(directory: Path) -> tuple[bool, str]:
        return not directory.name.endswith(records[directory].config_hash), directory.name

    kept: dict[str, Path] = {}
    for directory in sorted(records, key=order):
        kept.setdefault(records[directory].config_hash, directory)
    originals = {directory: kept[record.config_hash] for directory, record in records.items()}
    return {path: original for path, original in originals.items() if path != original}


def _with_sidecars(directory: Path, record: RunRecord) -> tuple[Run, list[tuple[Path, str]]]:
    """Return the run with what lies beside its result, and the files of it that are damaged."""
    environment, no_environment = read_environment(directory / "environment.json")
    exemplars, no_exemplars = read_picture(directory / "exemplars.png")
    trace, no_trace = trace_beside(directory / TRACE)
    export, no_export = export_beside(directory, record)
    faults = [
        (directory / "environment.json", no_environment),
        *log_faults(directory, record),
        (directory / "exemplars.png", no_exemplars),
        (directory / TRACE, no_trace),
        (directory / EXPORT, no_export),
    ]
    run = Run(
        directory=printable(directory.name),
        record=record,
        environment=environment,
        exemplars=exemplars,
        trace=trace,
        export=export,
    )
    return run, [(path, fault) for path, fault in faults if fault]


def _problem(source: Path, path: Path, message: str) -> Problem:
    """Return the report may be published, so it names files by their place below ``source``."""
    file = path.relative_to(source).as_posix()
    message = message.replace(f"{path}: ", "").replace(str(path), file)
    return Problem(file=printable(file), message=printable(message))

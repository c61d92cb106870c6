"""Whether data sets are there, and how to get them.

Nothing is ever downloaded unless :func:`cl_strategies.benchmarks.download` is called. Each data set
is looked for in its published layout, in this order: the folder given as ``data_root``; the folder
that the environment variable ``CL_STRATEGIES_DATA`` names; the folder of a system package;
Avalanche's data folder.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from cl_strategies.benchmarks.data_folders import reason
from cl_strategies.benchmarks.sources import SOURCES, DatasetSource
from cl_strategies.errors import DataMissingError, unknown_name


@dataclass(frozen=True, kw_only=True)
class DatasetStatus:
    """Whether a data set is there.

    :param name: kebab-case name.
    :param present: whether all its files are there; their contents are not read.
    :param looked_in: folders, in the order in which they were looked in.
    :param found_at: the folder it was found in.
    :param problem: what is incomplete, if a folder holds only some of the files, or why one could
        not be looked into.
    :param how_to_get: a command, or what to do by hand.
    """

    name: str
    present: bool
    looked_in: tuple[str, ...]
    found_at: str | None
    problem: str | None
    how_to_get: str

    def message(self) -> str:
        """What a person needs to know, in a few lines."""
        if self.present:
            return f"{self.name}: found in {self.found_at}"
        lines = [f"{self.name}: not on this machine; looked in:"]
        lines += [f"  {folder}" for folder in self.looked_in]
        lines += [self.problem] if self.problem else []
        return "\n".join([*lines, f"get it: {self.how_to_get}"])


def check_dataset(name: str, data_root: str | Path | None = None) -> DatasetStatus:
    """Whether one data set is on this machine.

    :param name: a key of :data:`SOURCES`.
    :param data_root: folder to look in first.
    :raises UserError: for an unknown name, or if ``data_root`` or the folder that the environment
        variable names is not a folder, or cannot be looked into.
    """
    if name not in SOURCES:
        raise unknown_name("data set", name, SOURCES)
    source = SOURCES[name]
    if not source.files:
        found = importlib.util.find_spec(source.package) is not None
        package = f"the installed package {source.requirement}"
        return DatasetStatus(
            name=name,
            present=found,
            looked_in=(package,),
            found_at=package if found else None,
            problem=None,
            how_to_get=_how_to_get(source, data_root),
        )
    folders = list(dict.fromkeys(source.candidates(data_root)))
    problem = None
    for folder in folders:
        try:
            missing = source.missing_files(folder)
        except OSError as error:
            problem = problem or f"{folder} cannot be looked into: {reason(error)}"
            continue
        if not missing:
            return _status(source, folders, data_root, found_at=folder)
        if len(missing) < len(source.files) and problem is None:
            problem = f"{folder} is incomplete: it lacks {', '.join(missing)}"
    return _status(source, folders, data_root, problem=problem)


def check_datasets(data_root: str | Path | None = None) -> list[DatasetStatus]:
    """:func:`check_dataset` for every data set."""
    return [check_dataset(name, data_root) for name in SOURCES]


def locate(name: str, data_root: str | Path | None = None) -> Path:
    """The folder that holds a data set's files.

    :raises DataMissingError: with the folders looked in and the command that fetches it.
    """
    if (asked := _asked.get()) is not None:
        asked.append((name, data_root))
    status = check_dataset(name, data_root)
    if status.found_at is None:
        raise DataMissingError(status.message())
    return Path(status.found_at)


@contextmanager
def what_is_located() -> Iterator[list[tuple[str, str | Path | None]]]:
    """The arguments of each call of :func:`locate` inside."""
    asked: list[tuple[str, str | Path | None]] = []
    token = _asked.set(asked)
    try:
        yield asked
    finally:
        _asked.reset(token)


_asked: ContextVar[list[tuple[str, str | Path | None]] | None] = ContextVar("asked", default=None)


def _status(
    source: DatasetSource,
    folders: list[Path],
    data_root: str | Path | None,
    *,
    found_at: Path | None = None,
    problem: str | None = None,
) -> DatasetStatus:
    return DatasetStatus(
        name=source.name,
        present=found_at is not None,
        looked_in=tuple(map(str, folders)) or (f"the package {source.requirement}: not installed",),
        found_at=None if found_at is None else str(found_at),
        problem=problem,
        how_to_get=_how_to_get(source, data_root),
    )


def _how_to_get(source: DatasetSource, data_root: str | Path | None) -> str:
    if source.by_hand:
        return f"by hand: {source.by_hand}"
    if source.package:
        return f"pip install {source.requirement}"
    command = f"cl-strategies datasets fetch {source.name}"
    if data_root is not None:
        command += f" --data-root {data_root}"
    return f"{command} ({source.alternative})" if source.alternative else command

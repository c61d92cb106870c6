"""What is in the folders of a data set, sorted by name, and in its lists: nothing depends on the
file system."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cl_strategies.benchmarks.readers.errors import broken
from cl_strategies.io.bounded import read_regular

#: Food-101's list of 75,750 training images has 1.8 MB.
MAX_TEXT_BYTES = 2**22
MAX_LINES = 2**17


def folders_in(folder: Path) -> list[str]:
    """Return names of the folders in ``folder``.

    :raises DataMissingError: if it is no folder, or cannot be read.
    """
    return _names(folder, lambda entry: entry.is_dir())


def files_in(folder: Path) -> list[str]:
    """Return names of the files in ``folder``; raises like :func:`folders_in`."""
    return _names(folder, lambda entry: entry.is_file())


def names_in(folder: Path, ending: str = "") -> list[str]:
    """Return names of all that is in ``folder`` and ends so; raises like :func:`folders_in`."""
    return _names(folder, lambda entry: entry.name.endswith(ending))


def lines_in(path: Path, most: int = MAX_LINES) -> list[str]:
    """Return the lines of a text file, without the spaces around them; empty ones are left out.

    :param most: more lines than this are an error: each becomes a path.
    :raises DataMissingError: if it cannot be read, is too long, or is no text.
    """
    try:
        lines = read_regular(path, MAX_TEXT_BYTES).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        broken(path, str(error), error)
    if len(lines) > most:
        broken(path, f"it has more than the {most:,} lines allowed")
    return [line.strip() for line in lines if line.strip()]


def _names(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if wanted(entry))
    except OSError as error:
        broken(folder, error.strerror or str(error), error)

"""What is said of files and folders of a data set that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from cl_strategies.errors import DataMissingError

_SHOWN = 500  # characters of a reason, which may quote the file


def broken(path: Path, why: str, cause: BaseException | None = None) -> NoReturn:
    """:raises DataMissingError: that says why ``path`` cannot be used, and what to do."""
    why = why if len(why) <= _SHOWN else f"{why[:_SHOWN]}..."
    if isinstance(cause, PermissionError):
        raise DataMissingError(
            f"{path} cannot be read ({why}): give yourself the right to read it, or fetch it again "
            "to a folder of yours"
        ) from cause
    if isinstance(cause, FileNotFoundError | NotADirectoryError):
        raise DataMissingError(
            f"{path} cannot be read ({why}): the data set is incomplete; fetch and unpack it again"
        ) from cause
    raise DataMissingError(
        f"{path} is truncated or corrupt ({why}): delete it and fetch it again"
    ) from cause


def check_name(path: Path, name: str) -> None:
    """:raises DataMissingError: if what ``path`` calls a file is one in another folder."""
    if name in ("", ".", "..") or Path(name).name != name or "\0" in name:
        broken(path, f"{name!r} is not the name of a file")

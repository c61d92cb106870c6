"""Folders in which data sets may be."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from cl_strategies.errors import UserError
from cl_strategies.io.bounded import read_regular

ENVIRONMENT_VARIABLE = "CL_STRATEGIES_DATA"
_LARGEST_CONFIG = 2**20


def given_roots(data_root: str | Path | None) -> Iterator[Path]:
    """Return the folder given, and the one that the environment variable names.

    :raises UserError: if one is not a folder, or cannot be looked into.
    """
    if data_root is not None:
        if not isinstance(data_root, str | Path):
            raise UserError(f"data_root is {data_root!r}: give the path of a folder")
        yield _folder("data_root", data_root)
    if os.environ.get(ENVIRONMENT_VARIABLE):
        yield _folder(ENVIRONMENT_VARIABLE, os.environ[ENVIRONMENT_VARIABLE])


def _folder(what: str, path: str | Path) -> Path:
    """Return ``path`` as a folder; it need not be there yet."""
    try:
        folder = Path(path).expanduser()
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise UserError(f"{what} {folder} is not a folder: give the folder that holds data")
        if not os.access(folder, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{what} {path} cannot be looked into ({reason(error)}): give the folder that holds "
            "data, and that you may read"
        ) from error
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{what} {str(path)!r} is no path ({error}): give the folder that holds data"
        ) from error
    return folder


def is_there(path: Path) -> bool:
    """Return whether there is something at ``path``.

    :raises OSError: if that cannot be known: what :meth:`pathlib.Path.exists` does of these
        differs between versions of Python.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a null byte
        return False
    return True


def reason(error: Exception) -> str:
    """Return what went wrong, without the path, which is named beside it."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def package_folders(package: str) -> Iterator[Path]:
    """Return where ``package`` keeps its data, without importing it."""
    spec = importlib.util.find_spec(package) if package else None
    for folder in (spec and spec.submodule_search_locations) or ():
        yield Path(folder) / "data" / "data"


def avalanche_root() -> Path:
    """Avalanche's data folder, without importing Avalanche, which would create its config file."""
    module = sys.modules.get("avalanche.benchmarks.datasets.dataset_utils")
    home = Path(os.path.expanduser("~/.avalanche"))
    try:
        if module is not None:
            config = module.AVALANCHE_CONFIG
        else:
            config = json.loads(read_regular(home / "config.json", _LARGEST_CONFIG))
        return Path(config["dataset_location"]).expanduser()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # Avalanche's default, then
        return home / "data"

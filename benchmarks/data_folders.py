"""Folders in which data sets may be."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from cl_strategies.errors import UserError

ENVIRONMENT_VARIABLE = "CL_STRATEGIES_DATA"


def given_roots(data_root: str | Path | None) -> Iterator[Path]:
    """The folder given, and the one that the environment variable names.

    :raises UserError: if ``data_root`` is not a folder.
    """
    if data_root is not None:
        if not isinstance(data_root, str | Path):
            raise UserError(f"data_root is {data_root!r}: give the path of a folder")
        root = Path(data_root).expanduser()
        if root.exists() and not root.is_dir():
            raise UserError(f"data_root {root} is not a folder: give the folder that holds data")
        yield root
    if os.environ.get(ENVIRONMENT_VARIABLE):
        yield Path(os.environ[ENVIRONMENT_VARIABLE]).expanduser()


def package_folders(package: str) -> Iterator[Path]:
    """Where ``package`` keeps its data, without importing it."""
    spec = importlib.util.find_spec(package) if package else None
    for folder in (spec and spec.submodule_search_locations) or ():
        yield Path(folder) / "data" / "data"


def avalanche_root() -> Path:
    """Avalanche's data folder, without importing Avalanche, which would create its config file."""
    module = sys.modules.get("avalanche.benchmarks.datasets.dataset_utils")
    if module is not None:
        return Path(module.AVALANCHE_CONFIG["dataset_location"]).expanduser()
    home = Path("~/.avalanche").expanduser()
    try:
        return Path(json.loads((home / "config.json").read_text())["dataset_location"]).expanduser()
    except (OSError, ValueError, KeyError, TypeError):
        return home / "data"

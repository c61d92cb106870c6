"""Which folders of data a configuration file may name by itself.

Files are passed around; whoever runs one has said where runs go (``--out``) and where data are,
and not that a file may send it elsewhere. Paths given on the command line, or by code, are asked
for, and may lead anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cl_strategies.benchmarks.datasets.data_folders import ENVIRONMENT_VARIABLE, avalanche_root
from cl_strategies.errors import UserError

#: Options of a benchmark that are paths; all but the first count from the first.
PATHS = ("data_root", "path", "test_path", "images")


def check_paths(
    options: Mapping[str, Any], source: str | Path, asked: Collection[str] = ()
) -> None:
    """Let the paths of a file's benchmark lie in the current folder or in a data folder only.

    :param options: of the benchmark; anything but text is left to the checks of its type.
    :param source: the file that they were read from.
    :param asked: keys such as ``"benchmark.path"`` that were given otherwise.
    :raises UserError: if one lies elsewhere.
    """
    root = options.get("data_root")
    for option in PATHS:
        path = options.get(option)
        if isinstance(path, str) and f"benchmark.{option}" not in asked:
            asked_root = option != PATHS[0] and f"benchmark.{PATHS[0]}" in asked
            base = root if option != PATHS[0] and isinstance(root, str) else "."
            _check(option, os.path.join(base, os.path.expanduser(path)), source, asked_root, base)


def _check(option: str, path: str, source: str | Path, asked_root: bool, root: str) -> None:
    wanted = _absolute(path)
    allowed = [Path.cwd(), avalanche_root()]
    if os.environ.get(ENVIRONMENT_VARIABLE):
        allowed.append(Path(os.environ[ENVIRONMENT_VARIABLE]))
    if asked_root:
        allowed.append(Path(root))
    if not any(wanted.is_relative_to(_absolute(folder)) for folder in allowed):
        how = "--data-root " if option == PATHS[0] else f"--set benchmark.{option}="
        raise UserError(
            f"{source} wants data from {path}, outside of the current folder and of the folders "
            f"of data sets: if you want that, too, give {how}{wanted} or set "
            f"{ENVIRONMENT_VARIABLE}"
        )


def _absolute(path: str | Path) -> Path:
    # Links are followed as they are: they are yours, a file cannot make any.
    return Path(os.path.abspath(os.path.expanduser(path)))

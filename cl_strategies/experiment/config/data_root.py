"""Which folders a configuration file may name by itself.

Files are passed around; whoever runs one has said where runs go (``--out``) and where data are,
and not that a file may send it elsewhere. Paths given on the command line, or by code, are asked
for, and may lead anywhere.
"""

from __future__ import annotations

import os
from pathlib import Path

from cl_strategies.benchmarks.datasets.data_folders import ENVIRONMENT_VARIABLE, avalanche_root
from cl_strategies.errors import UserError


def check_root(root: object, source: str | Path) -> None:
    """Let ``benchmark.data_root`` of a file lie in the current folder or in a data folder only.

    :param root: the option's value; anything but text is left to the checks of its type.
    :param source: the file that it was read from.
    :raises UserError: if it lies elsewhere.
    """
    if not isinstance(root, str):
        return
    wanted = _absolute(root)
    allowed = [Path.cwd(), avalanche_root()]
    if os.environ.get(ENVIRONMENT_VARIABLE):
        allowed.append(Path(os.environ[ENVIRONMENT_VARIABLE]))
    if not any(wanted.is_relative_to(_absolute(folder)) for folder in allowed):
        raise UserError(
            f"{source} wants data from {root}, outside of the current folder and of the folders "
            f"of data sets: if you want that, too, give --data-root {wanted} or set "
            f"{ENVIRONMENT_VARIABLE}"
        )


def _absolute(path: str | Path) -> Path:
    # Links are followed as they are: they are yours, a file cannot make any.
    return Path(os.path.abspath(os.path.expanduser(path)))

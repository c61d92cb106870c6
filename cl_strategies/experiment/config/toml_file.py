"""A configuration as a file."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.own_code import look_in
from cl_strategies.validation.plain_data import check_plain, shown


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a file; modules that it names are looked for beside it, too.

    :raises UserError: if the file is missing, is not TOML, or holds more than plain values.
    """
    if not isinstance(path, (str, os.PathLike)):  # open would read the file of a number
        raise UserError(f"cannot read {shown(path)}: give the path of a TOML file")
    try:
        with open(path, "rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOML's and Unicode's are ValueErrors
        raise UserError(f"{path} is not valid TOML: {error}") from error
    try:
        check_plain("", tables)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    look_in(Path(path).parent)
    return tables

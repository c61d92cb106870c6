"""Configurations as people write them: files in TOML, and ``key=value`` on the command line."""

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


def parse_assignment(text: str) -> tuple[str, Any]:
    """Return ``"train.epochs=3"`` -> ``("train.epochs", 3)``; values are TOML, bare words are
    strings."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"cannot read {shown(text)}: write key=value, for example train.epochs=3")
    try:
        assigned = tomllib.loads(f"v = {value}")["v"]
    except (ValueError, RecursionError):
        assigned = value.strip()
    check_plain(key.strip(), assigned)
    return key.strip(), assigned

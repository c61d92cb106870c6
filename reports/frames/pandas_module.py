"""pandas, which is installed for data frames alone."""

from __future__ import annotations

import importlib
from typing import Any

from cl_strategies.errors import UserError


def pandas() -> Any:
    """Return the module.

    :raises UserError: if it is not installed.
    """
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise UserError(
            "data frames need pandas, which is not installed: pip install 'cl-strategies[pandas]'"
        ) from error

"""Where runs are computed, as the command line says it."""

from __future__ import annotations

import argparse
from typing import Any


def executor_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the executor; those that are not given are ``None``."""
    return {"address": options.address, "gpus": options.gpus_per_run}

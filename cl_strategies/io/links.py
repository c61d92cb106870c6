"""Folders that are written to are where they seem to be."""

from __future__ import annotations

import os
from pathlib import Path

from cl_strategies.errors import UserError


def check_no_link(path: Path) -> None:
    """:raises UserError: if ``path`` is a link, which would lead writing elsewhere."""
    if os.path.islink(path):
        raise UserError(
            f"{path} is a link, and what lies elsewhere is not written to: delete it, or put the "
            "folder itself in its place"
        )

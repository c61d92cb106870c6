"""What the command line tells beside its answer: on standard error, for people."""

from __future__ import annotations

import sys
from typing import Any

from cl_strategies.printable import printable


def progress_bar(unit: str, total: int | None = None) -> Any:
    """A bar that counts ``unit``; silent unless a person is watching."""
    from tqdm import tqdm

    return tqdm(total=total, unit=f" {unit}", disable=not sys.stderr.isatty(), dynamic_ncols=True)


def warn(text: str) -> None:
    """Say what is wrong."""
    print(f"cl-strategies: {printable(text)}", file=sys.stderr)


def say(text: str) -> None:
    """Say what is being done, if a person is watching."""
    if sys.stderr.isatty():
        print(printable(text), file=sys.stderr)

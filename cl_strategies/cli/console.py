"""What the command line says: answers on standard output, all else on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.errors.text import printable


def hold_streams() -> None:
    """Let closed standard streams lead nowhere: what is printed would go to the file that is
    opened in their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 (until the process ends)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def answer(text: str) -> None:
    """Print a part of what was asked for. If its reader has gone, as in ``list | head``, nothing
    is said: what is done counts, and the exit code.

    :raises UserError: if it cannot be written for another reason.
    """
    try:
        print(printable(text), flush=True)
    except BrokenPipeError:
        _lead_nowhere(sys.stdout)
    except OSError as error:
        _lead_nowhere(sys.stdout)
        raise UserError(
            f"the answer cannot be written to standard output ({error.strerror}): give it "
            "another place; finished runs need not be repeated"
        ) from error


def progress_bar(unit: str, total: int | None = None) -> Any:
    """Return a bar that counts ``unit``; silent unless a person is watching."""
    from tqdm import tqdm

    return tqdm(total=total, unit=f" {unit}", disable=not sys.stderr.isatty(), dynamic_ncols=True)


def warn(text: str) -> None:
    """Say what is wrong."""
    # Where nothing can be said, there is still the exit code.
    with contextlib.suppress(OSError):
        print(f"cl-strategies: {printable(text)}", file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Say what is being done, if a person is watching."""
    if sys.stderr.isatty():
        print(printable(text), file=sys.stderr)


def _lead_nowhere(stream: Any) -> None:
    """What is still in the stream's buffer is written when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

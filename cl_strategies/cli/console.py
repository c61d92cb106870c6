"""What the command line says: answers on standard output, all else on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.errors.text import printable

#: Styles of :func:`styled`.
BOLD, YELLOW = "1", "33"


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


def answer(text: str, style: str | None = None) -> None:
    """Print a part of what was asked for. If its reader has gone, as in ``list | head``, nothing
    is said: what is done counts, and the exit code.

    :param style: of :func:`styled`.
    :raises UserError: if it cannot be written for another reason.
    """
    try:
        shown = printable(text)
        print(shown if style is None else styled(shown, style), flush=True)
    except BrokenPipeError:
        _lead_nowhere(sys.stdout)
    except OSError as error:
        _lead_nowhere(sys.stdout)
        raise UserError(
            f"the answer cannot be written to standard output ({error.strerror}): give it "
            "another place; finished runs need not be repeated"
        ) from error


def warn(text: str) -> None:
    """Say what is wrong."""
    _tell(text, YELLOW)


def note(text: str) -> None:
    """Say how things are, to who reads it later, too."""
    _tell(text, BOLD)


def say(text: str) -> None:
    """Say what is being done, if a person is watching."""
    if sys.stderr.isatty():
        print(printable(text), file=sys.stderr)


def styled(text: str, style: str, stream: Any = None) -> str:
    """Return ``text`` in a style, where a person is watching who wants any: not with ``NO_COLOR``
    in the environment (https://no-color.org), nor on a terminal that has none.

    :param style: :data:`BOLD` or :data:`YELLOW`.
    :param stream: where it will be printed; standard output, if not given.
    """
    unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    stream = stream or sys.stdout
    return text if unwanted or not stream.isatty() else f"\x1b[{style}m{text}\x1b[0m"


def _tell(text: str, style: str) -> None:
    text = text.translate({0xA0: " ", 0x202F: " "})  # numbers and units, apart in any encoding
    # Where nothing can be said, there is still the exit code.
    with contextlib.suppress(OSError):
        name = styled("cl-strategies:", style, sys.stderr)
        print(f"{name} {printable(text)}", file=sys.stderr, flush=True)


def _lead_nowhere(stream: Any) -> None:
    """What is still in the stream's buffer is written when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

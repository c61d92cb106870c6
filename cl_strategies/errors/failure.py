"""What is known of an exception, as plain text, whatever its class does when it is asked."""

from __future__ import annotations

import traceback
from types import TracebackType

from cl_strategies.errors import DivergedError
from cl_strategies.errors.text import printable

#: Characters of a message and of a traceback; a result with more could not be read again.
LONGEST_MESSAGE, LONGEST_TRACEBACK = 2_000, 200_000
_NOTES: dict[type, str] = {
    SystemExit: " (sys.exit was called within the run)",
    KeyboardInterrupt: " (raised within the run, not by Ctrl-C)",
}


class Failure(Exception):
    """A run, or the making of one, ended with an exception.

    Nothing is left of the exception but text, so a failure can be printed, recorded and sent to
    another process.

    :param kind: ``"diverged"`` or ``"error"``.
    """

    def __init__(self, kind: str, message: str, traceback: str) -> None:
        super().__init__(kind, message, traceback)
        self.kind = kind
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        return self.message

    def to_dict(self) -> dict[str, str]:
        """Return the ``error`` of a :class:`~cl_strategies.results.record.RunRecord`."""
        return {"kind": self.kind, "message": self.message, "traceback": self.traceback}


def describe(error: BaseException) -> Failure:
    """Return what ``error`` says of itself; no property or method of its class can make this
    fail."""
    if issubclass(type(error), DivergedError):
        return Failure("diverged", text_of(error), traceback_of(error))
    return Failure("error", named(error), traceback_of(error))


def named(error: BaseException) -> str:
    """Return class and message, such as ``"ValueError: no such task"``."""
    return f"{name_of(error)}: {text_of(error)}{_NOTES.get(type(error), '')}"


def name_of(error: BaseException) -> str:
    """Return the name of the class of ``error``; a metaclass may have another idea of it."""
    return printable(_shortened(str.__str__(type.__dict__["__name__"].__get__(type(error))), 200))


def text_of(error: BaseException) -> str:
    """Return ``str(error)``, or why there is none."""
    try:
        # A subclass of str, which may come out of str(), has methods of its own.
        return printable(_shortened(str.__str__(str(error)), LONGEST_MESSAGE))
    except BaseException as broken:  # the boundary knows if it was Ctrl-C
        return f"(it has no text: asking for it raised {name_of(broken)})"


def traceback_of(error: BaseException) -> str:
    """Return the traceback in Python's words, or as much of it as can be had."""
    trace: TracebackType | None = BaseException.__dict__["__traceback__"].__get__(error)
    for attempt in (
        lambda: traceback.format_exception(error),
        lambda: [*traceback.format_tb(trace), name_of(error)],
    ):
        try:
            return printable(_shortened("".join(attempt()), LONGEST_TRACEBACK))
        except BaseException:
            continue
    return "(no traceback: it cannot be printed)"


def _shortened(text: str, longest: int) -> str:
    """Return ``text`` without its middle, if it is too long."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}... ({len(text) - 2 * half} characters left out) ...{text[-half:]}"

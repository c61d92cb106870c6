"""Text from files and folders, made fit for a terminal and for UTF-8."""

from __future__ import annotations

_KEPT = "\n\t"
_LONGEST = 100


def printable(text: str) -> str:
    """Return ``text`` with escapes in place of what a terminal would obey, or UTF-8 does not have.

    >>> printable("title\\x1b]0;x")
    'title\\\\x1b]0;x'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in _KEPT else c.encode("unicode_escape").decode() for c in text
    )


def shortened(text: str) -> str:
    """Return ``text``, or its beginning if it is too long for a message."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def csv_cell(text: str) -> str:
    """Return ``text`` as a cell that a spreadsheet shows and does not compute.

    Spreadsheets take what begins with ``=``, ``+``, ``-`` or ``@`` as a formula, which can run
    commands; an apostrophe in front makes it text. Numbers stay as they are.

    >>> csv_cell("=1+1"), csv_cell("-0.5"), csv_cell("si")
    ("'=1+1", '-0.5', 'si')
    """
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text

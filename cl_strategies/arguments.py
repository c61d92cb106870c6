"""What the command line's short notations mean."""

from __future__ import annotations

import re

from cl_strategies.errors import UserError

_LETTERS = re.compile(r"([A-Z])-([A-Z])")


def names(text: str | None) -> list[str]:
    """``"a, b"`` -> ``["a", "b"]``."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def integers(flag: str, text: str) -> list[int]:
    """``"0,2,5-7"`` -> ``[0, 2, 5, 6, 7]``.

    :raises UserError: for anything else, an empty range, or a number that comes twice.
    """
    from cl_strategies.experiment.suite import checked_seeds

    values: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UserError(f"{flag} {text!r}: give integers such as 0,1,5 or a range such as 0-4")
        values.extend(range(int(first), int(last or first) + 1))
    if not values:
        raise UserError(f"{flag} {text!r}: the range is empty; write the smaller number first")
    return checked_seeds(flag, values)


def orders(flag: str, text: str) -> list[int | str]:
    """Task orders: integers as :func:`integers` reads them, or letters: ``"A-C,E"``.

    :raises UserError: for anything else.
    """
    from cl_strategies.experiment.suite import checked_orders

    if any(character.isdecimal() for character in text):
        return list(integers(flag, text))
    values: list[str] = []
    for name in names(text):
        span = _LETTERS.fullmatch(name)
        values += map(chr, range(ord(span[1]), ord(span[2]) + 1)) if span else [name]
    if not values:
        raise UserError(f"{flag} {text!r}: give seeds such as 0-4, or names of orders such as A-E")
    return checked_orders(flag, values)


def shard(text: str) -> tuple[int, int]:
    """``"1/4"`` -> ``(1, 4)``.

    :raises UserError: for anything else.
    """
    index, _, count = text.partition("/")
    if not index.isdecimal() or not count.isdecimal():
        raise UserError(f"--shard {text!r}: give I/N, such as 0/4 for the first of four")
    return int(index), int(count)

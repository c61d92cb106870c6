"""What the command line's short notations mean."""

from __future__ import annotations

import re

from cl_strategies.errors import UserError
from cl_strategies.validation.plain_data import shown

#: Numbers that one range, and one list, may stand for.
LONGEST = 10_000
_NUMBER = re.compile(r"[0-9]{1,18}")  # within 64 bits, however they are written
_LETTERS = re.compile(r"([A-Z])-([A-Z])")


def names(text: str | None) -> list[str]:
    """Return ``"a, b"`` -> ``["a", "b"]``."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def integers(flag: str, text: str) -> list[int]:
    """Return ``"0,2,5-7"`` -> ``[0, 2, 5, 6, 7]``.

    :raises UserError: for anything else, an empty range, or a number that comes twice.
    """
    from cl_strategies.experiment.config.suite_checks import check_seeds

    values: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not _NUMBER.fullmatch(first) or (dash and not _NUMBER.fullmatch(last)):
            raise UserError(
                f"{flag} {shown(text)}: give integers such as 0,1,5 or a range such as 0-4, "
                "of at most 18 digits"
            )
        span = range(int(first), int(last or first) + 1)
        if len(values) + len(span) > LONGEST:
            raise UserError(f"{flag} {shown(text)}: these are more than {LONGEST} numbers")
        values.extend(span)
    if not values:
        raise UserError(f"{flag} {shown(text)}: the range is empty; write the smaller number first")
    check_seeds(flag, values)
    return values


def orders(flag: str, text: str) -> list[int | str]:
    """Task orders: integers as :func:`integers` reads them, or letters: ``"A-C,E"``.

    :raises UserError: for anything else.
    """
    from cl_strategies.experiment.config.suite_checks import check_orders

    if any(character.isdecimal() for character in text):
        return list(integers(flag, text))
    values: list[int | str] = []
    for name in names(text):
        span = _LETTERS.fullmatch(name)
        values += map(chr, range(ord(span[1]), ord(span[2]) + 1)) if span else [name]
    if not values:
        raise UserError(
            f"{flag} {shown(text)}: give seeds such as 0-4, or names of orders such as A-E"
        )
    check_orders(flag, values)
    return values


def shard(text: str) -> tuple[int, int]:
    """Return ``"1/4"`` -> ``(1, 4)``.

    :raises UserError: for anything else.
    """
    index, _, count = text.partition("/")
    if not _NUMBER.fullmatch(index) or not _NUMBER.fullmatch(count):
        raise UserError(f"--shard {shown(text)}: give I/N, such as 0/4 for the first of four")
    return int(index), int(count)

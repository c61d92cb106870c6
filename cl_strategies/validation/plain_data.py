"""Plain values, which TOML and JSON have in common, and how a message shows any value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.errors.text import printable, shortened

#: Integers lie from ``-INTEGERS`` to ``INTEGERS - 1``, as TOML promises.
INTEGERS = 2**63
#: Lists and tables in one another; no option has any use for as many.
DEPTH = 20


def check_plain(what: str, value: Any) -> None:
    """Let ``value`` be text, a finite number, a boolean, ``None``, or lists and tables of these.

    What passes can be printed, hashed and written, so nothing later has to ask.

    :param what: the dotted name of ``value``; ``""``: that of all tables together.
    :raises UserError: for dates and other objects, integers of more than 64 bits, infinity and
        NaN, text that cannot be printed, and lists or tables nested deeper than :data:`DEPTH`.
    """
    pending = [(what, value, 0)]
    while pending:
        where, value, depth = pending.pop()
        if depth > DEPTH:
            raise UserError(
                f"{shortened(where)} has more than {DEPTH} lists or tables in one another: "
                "give a value as `cl-strategies show NAME` lists it"
            )
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise UserError(
                        f"{where or 'the configuration'} has the key {shown(key)}: give text"
                    )
                pending.append((f"{where}.{key}" if where else key, inner, depth + 1))
        elif isinstance(value, (list, tuple)):
            pending += [(where, inner, depth + 1) for inner in value]
        elif isinstance(value, int):
            if not -INTEGERS <= value < INTEGERS:
                raise UserError(
                    f"{shortened(where)} is an integer of more than 64 bits: "
                    "give one from -2**63 to 2**63 - 1"
                )
        elif isinstance(value, float):
            if not math.isfinite(value):  # JSON, which keeps the results, has no such number
                raise UserError(f"{shortened(where)} is {value}: give a finite number")
        elif isinstance(value, str):
            if printable(value) != value:
                raise UserError(
                    f"{shortened(where)} is {shown(value)}: give text that can be printed"
                )
        elif value is not None:
            raise UserError(
                f"{shortened(where)} is {shown(value)}, a {type(value).__name__}: give text in "
                "quotes, a number, true or false, or a list of these"
            )


def check_table(what: str, value: Any) -> None:
    """:raises UserError: unless ``value`` has keys and values."""
    if not isinstance(value, Mapping):
        raise UserError(f"{what} is {shown(value)}: give a table of keys and values")


def shown(value: Any) -> str:
    """Return ``repr(value)`` for a message: of limited length, and of integers of any size.

    >>> shown(10**5000)
    'a value of type int too large to print'
    """
    try:
        return shortened(repr(value))
    except (ValueError, RecursionError):  # Python prints no integer of more than 4300 digits
        return f"a value of type {type(value).__name__} too large to print"

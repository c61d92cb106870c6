"""Options of another type or out of range, refused by name."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.validation.plain_data import shown


def positive(**values: float) -> None:
    """:raises UserError: for a value that is not a number above zero."""
    for name, value in values.items():
        _number(name, value, "a number above 0")
        if not value > 0:
            raise UserError(f"{name} is {value}: give a number above 0")


def not_negative(**values: float) -> None:
    """:raises UserError: for a value that is not a number from zero."""
    for name, value in values.items():
        _number(name, value, "0 or more")
        if not value >= 0:
            raise UserError(f"{name} is {value}: give 0 or more")


def finite(**values: float) -> None:
    """:raises UserError: for a value that is not a number, or infinite."""
    for name, value in values.items():
        _number(name, value, "a number")
        if not abs(value) < float("inf"):
            raise UserError(f"{name} is {value}: it has to be a finite number")


def fraction(**values: float) -> None:
    """:raises UserError: for a value that is not a number from 0 to 1."""
    for name, value in values.items():
        _number(name, value, "a number from 0 to 1")
        if not 0 <= value <= 1:
            raise UserError(f"{name} is {value}: give a number from 0 to 1")


def whole(least: int, /, **values: int) -> None:
    """:raises UserError: for a value that is not an integer, or below ``least``."""
    for name, value in values.items():
        _number(name, value, f"an integer of at least {least}")
        if not isinstance(value, Integral) or value < least:
            raise UserError(f"{name} is {value}: give an integer of at least {least}")


def _number(name: str, value: Any, wanted: str) -> None:
    """:raises UserError: unless ``value`` is a number, and no larger than a float can be."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UserError(f"{name} is {shown(value)}, a {type(value).__name__}: give {wanted}")
    try:
        float(value)
    except OverflowError as error:
        raise UserError(f"{name} has more digits than a float can hold: give {wanted}") from error

"""Numbers out of range, refused by name."""

from __future__ import annotations

from cl_strategies.errors import UserError


def positive(**values: float) -> None:
    """:raises UserError: for a value that is not above zero."""
    for name, value in values.items():
        if not value > 0:
            raise UserError(f"{name} is {value}: give a number above 0")


def not_negative(**values: float) -> None:
    """:raises UserError: for a value below zero."""
    for name, value in values.items():
        if not value >= 0:
            raise UserError(f"{name} is {value}: give 0 or more")

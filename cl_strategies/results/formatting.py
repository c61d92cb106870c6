"""Numbers as people read them."""

from __future__ import annotations

import math

MISSING = "\u2013"
_NBSP = "\u00a0"
_SECONDS = ((7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))
_BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def scale_of(unit: str, largest: float) -> tuple[float, str]:
    """Return the divisor and symbol for numbers of ``unit`` up to ``largest``.

    :param unit: ``"fraction"``, ``"seconds"``, ``"bytes"`` or ``"number"``.
    :param largest: the largest absolute value that is shown together with others.
    """
    if unit == "fraction":
        return 0.01, "%"
    if unit == "seconds":
        return next((size, name) for least, size, name in _SECONDS if largest >= least)
    if unit == "bytes":
        return next((float(size), name) for size, name in _BYTES if largest >= size or size == 1)
    return 1.0, ""


def decimals_of(unit: str, largest: float) -> int:
    """Return how many decimals to show of (scaled) numbers up to ``largest``."""
    if unit == "fraction":
        return 1
    if unit == "number":
        return 3
    return 0 if largest >= 1000 else 1 if largest >= 10 else 2


def show(value: float, unit: str, *, largest: float | None = None, symbol: bool = True) -> str:
    """Return ``value`` with a unit that fits it (or fits ``largest``, for a column of one unit)."""
    if math.isnan(value):
        return MISSING
    largest = abs(value) if largest is None else largest
    size, name = scale_of(unit, largest)
    decimals = 0 if name == "B" else decimals_of(unit, largest / size)
    number = plain(value / size, decimals)
    return f"{number}{_NBSP}{name}" if symbol and name else number


def show_with_spread(
    mean: float, std: float, unit: str, *, largest: float | None = None, symbol: bool = True
) -> str:
    """Return ``mean ± std``; the spread is left out where it is not known."""
    if math.isnan(mean) or math.isnan(std):
        return show(mean, unit, largest=largest, symbol=symbol)
    largest = abs(mean) if largest is None else largest
    left = show(mean, unit, largest=largest, symbol=False)
    return f"{left}{_NBSP}±{_NBSP}{show(std, unit, largest=largest, symbol=symbol)}"


def plain(value: float, decimals: int) -> str:
    """Fixed decimals, thousands apart, a real minus sign, and no negative zero."""
    text = f"{value:,.{decimals}f}".replace(",", "\u202f")
    if text.startswith("-"):
        return text[1:] if not text.strip("-0.\u202f") else f"\u2212{text[1:]}"
    return text


def count(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 run``, ``3 runs``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def listing(names: list[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

"""Bit-widths, and the one rounding that every quantizer shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.validation.plain_data import shown

#: The bit-width that leaves a tensor as it is.
FULL_PRECISION = 32
MAX_BITS = 8

_continuous = False


def check_bits(bits: int, *, name: str = "bits") -> int:
    """Return ``bits`` itself.

    :raises UserError: unless it is an integer from 1 to 8, or 32.
    """
    if type(bits) is not int or not (1 <= bits <= MAX_BITS or bits == FULL_PRECISION):
        raise UserError(
            f"{name} is {shown(bits)}: give 1 to {MAX_BITS}, or {FULL_PRECISION} for full precision"
        )
    return bits


@contextmanager
def continuous() -> Iterator[None]:
    """Quantize with the identity in place of rounding, for as long as this context is open.

    What is left of a quantizer (scaling, clipping, alignment) is a differentiable function whose
    derivative is the gradient that the quantizer passes on: finite differences check it, and a
    quantization error is measured against it. The setting is that of the whole process.
    """
    global _continuous
    before, _continuous = _continuous, True
    try:
        yield
    finally:
        _continuous = before


def is_continuous() -> bool:
    """Return whether :func:`continuous` is open."""
    return _continuous


def round_(x: Tensor) -> Tensor:
    """Round ``x`` in place to the nearest integer, halves to even."""
    return x if _continuous else x.round_()


def midrise_codes_(unit: Tensor, bits: int) -> Tensor:
    """Turn values in [0, 1] into codes ``0 ... 2**bits - 1``, in place."""
    return round_(unit.mul_(2**bits - 1))


def midrise_values_(codes: Tensor, bits: int, bound: float) -> Tensor:
    """Turn codes into values on a grid of exactly ``2**bits`` levels in [-bound, bound], in place.

    The levels are odd multiples of ``bound / (2**bits - 1)``: zero is none of them.
    """
    return codes.mul_(2.0 / (2**bits - 1)).sub_(1.0).mul_(bound)

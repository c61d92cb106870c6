"""Arrays of numbers as users give them, checked once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cl_strategies.errors import UserError

Floats = NDArray[np.float64]


def numbers(values: Any, name: str, *, ndim: int, missing: bool = False) -> Floats:
    """Return ``values`` as float64 with ``ndim`` axes and at least one number.

    :param name: what the message calls them.
    :param missing: whether ``NaN`` may stand for a number that is not there.
    :raises UserError: for text, rows of different length, another number of axes, no numbers,
        infinite ones, or missing ones where none may be.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{name} cannot be read as numbers: give {shape_of(ndim)}, every row of one length"
        ) from error
    if array.ndim != ndim or array.size == 0:
        raise UserError(f"{name} has the shape {array.shape}: give {shape_of(ndim)}, not empty")
    if np.isinf(array).any():
        raise UserError(f"{name} holds an infinite number: give finite ones")
    if not missing and np.isnan(array).any():
        raise UserError(f"{name} holds NaN: leave out what was not measured")
    return array


def same_shape(first: Floats, second: Floats, names: str) -> None:
    """:raises UserError: unless both arrays have one shape; ``names`` says which they are."""
    if first.shape != second.shape:
        raise UserError(
            f"{names} have the shapes {first.shape} and {second.shape}: give one score of each "
            "for every pair, in the same order"
        )


def shape_of(ndim: int) -> str:
    """Return what an array of ``ndim`` axes is called in a message."""
    return {0: "one number", 1: "a list of numbers", 2: "a table of numbers"}.get(
        ndim, f"an array of numbers with {ndim} axes"
    )

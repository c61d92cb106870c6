"""Boxes in an image: half-open, ``(h0, h1, w0, w1)`` in pixels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cl_strategies.errors import UserError


def check_box(box: Sequence[int] | Tensor, height: int, width: int) -> tuple[int, int, int, int]:
    """Check a box, and return it as four ints, with every empty box made ``(0, 0, 0, 0)``.

    :raises UserError: unless ``0 <= h0 <= h1 <= height`` and ``0 <= w0 <= w1 <= width``.
    """
    values = [int(value) for value in box]
    if len(values) == 4:
        h0, h1, w0, w1 = values
        if 0 <= h0 <= h1 <= height and 0 <= w0 <= w1 <= width:
            return (h0, h1, w0, w1) if h0 < h1 and w0 < w1 else (0, 0, 0, 0)
    raise UserError(
        f"the box {values} does not lie in an image of {height}x{width} pixels: "
        "give (h0, h1, w0, w1), half-open"
    )

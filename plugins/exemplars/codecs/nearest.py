"""Nearest-neighbor and box resampling with the pixel choice of Pillow.

Pillow takes the source pixel under the center of each target pixel, and finds that center by
adding up the step in double precision. ``floor((i + 0.5) * n / o)`` and PyTorch's
``nearest-exact`` differ from it for some sizes; OpenCV and PyTorch's ``nearest`` take
``floor(i * n / o)``, which is another convention altogether (10 -> 5 keeps the pixels 1, 3, 5, 7, 9
here and 0, 2, 4, 6, 8 there).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError

Index = npt.NDArray[np.int64]


@lru_cache(maxsize=4096)
def nearest_index(size: int, target: int) -> Index:
    """Return the source index of each target index when ``size`` pixels become ``target`` pixels.

    :param size: Pixels along one side of the source, at least 1.
    :param target: Pixels along that side of the result, at least 1.
    :returns: read-only int64 of shape ``(target,)``.

    >>> nearest_index(10, 5).tolist()
    [1, 3, 5, 7, 9]
    """
    step = size / target
    centers = np.full(target, step)
    centers[0] = step / 2
    index = np.add.accumulate(centers).astype(np.int64).clip(max=size - 1)
    index.flags.writeable = False
    return index


@lru_cache(maxsize=4096)
def floor_index(size: int, target: int) -> Index:
    """Do the same as OpenCV and PyTorch's ``nearest`` do: ``floor(i * n / o)``."""
    index = np.arange(target, dtype=np.int64) * size // target
    index.flags.writeable = False
    return index


@lru_cache(maxsize=1024)
def box_means(size: int, target: int) -> npt.NDArray[np.float64]:
    """Return Pillow's weights of ``BOX`` from ``size`` to ``target`` pixels, ``(target, size)``.

    Each target pixel is the mean of the source pixels whose centers lie in its cell.

    :param target: At most ``size``.

    >>> box_means(4, 2).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    step = size / target
    centers, source = (np.arange(target)[:, None] + 0.5) * step, np.arange(size)
    offsets = (source - centers + 0.5) * (1 / step)
    inside = (offsets > -0.5) & (offsets <= 0.5)
    # Pillow looks no further than this, which counts where a center lies on the edge of a cell.
    inside &= (source >= (centers - step / 2 + 0.5).astype(int)) & (
        source < (centers + step / 2 + 0.5).astype(int)
    )
    weights = inside / inside.sum(axis=1, keepdims=True)
    weights.flags.writeable = False
    return weights


def low_size(height: int, width: int, eta: float) -> tuple[int, int]:
    """Return height and width divided by the root of ``eta`` and rounded down.

    :param height: Pixels, at least 1.
    :param width: Pixels, at least 1.
    :param eta: Ratio of areas, at least 1; 4 halves each side.
    :raises UserError: if ``eta`` is below 1 or not finite.
    """
    check_eta(eta)
    root = math.sqrt(eta)
    return max(1, int(height / root)), max(1, int(width / root))


def check_eta(eta: float, name: str = "eta") -> None:
    """Refuse a ratio below 1.

    :raises UserError: unless ``eta`` is a finite ratio of at least 1.
    """
    if not (math.isfinite(eta) and eta >= 1):
        raise UserError(f"{name} is {eta}: give a ratio of areas of 1 or more, such as 4")

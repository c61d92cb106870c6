"""Images at a lower resolution."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from PIL import Image

from cl_strategies.plugins.exemplars.codecs.base import HEADER, ImageCodec, damaged
from cl_strategies.plugins.exemplars.codecs.image_files import RawCoder, make_coder
from cl_strategies.plugins.exemplars.codecs.nearest import low_size, nearest_index
from cl_strategies.plugins.exemplars.codecs.options import Eta, Filter, Inner, Quality
from cl_strategies.plugins.exemplars.codecs.pixels import Pixels, planes, to_pillow
from cl_strategies.validation.hyperparameters import hyperparameters

FILTERS = ("nearest", "box")  # a payload holds the position
_SIZE = struct.Struct("<HHB")  # low height, low width, filter


@hyperparameters
class Downsample(ImageCodec):
    """Store the whole image at a lower resolution.

    Read again, pixels are repeated, or interpolated bilinearly if they are means.

    :raises UserError: for an option out of its range.
    """

    name: ClassVar[str] = "downsample"
    number: ClassVar[int] = 5

    def __init__(
        self,
        *,
        eta: Eta = 4.0,
        filter: Filter = "nearest",
        inner: Inner = "raw",
        quality: Quality = 75,
    ) -> None:
        self.eta = eta
        self.filter = filter
        self.coder = make_coder(inner, quality)

    def cost(self, pixels: Pixels, box: Sequence[int] | None = None) -> int:
        if not isinstance(self.coder, RawCoder):
            return super().cost(pixels)
        height, width = low_size(pixels.shape[0], pixels.shape[1], self.eta)
        return HEADER.size + _SIZE.size + height * width * pixels.shape[2]

    def pack(self, pixels: Pixels, box: Sequence[int] | None) -> bytes:
        low = low_size(pixels.shape[0], pixels.shape[1], self.eta)
        small = shrink(pixels, low, self.filter)
        return _SIZE.pack(*low, FILTERS.index(self.filter)) + self.coder.write(small)

    def unpack(self, body: bytes, shape: tuple[int, int, int]) -> Pixels:
        height, width, kind = _SIZE.unpack_from(body)
        if not 0 < height <= shape[0] or not 0 < width <= shape[1]:
            raise damaged(f"its low resolution is {height}x{width}")
        small = self.coder.read(body[_SIZE.size :], (height, width, shape[2]))
        return enlarge(small, shape[:2], FILTERS[kind])


def shrink(pixels: Pixels, size: tuple[int, int], filter: str) -> Pixels:
    """Reduce ``pixels`` to ``size`` (height, width)."""
    if filter == "box":
        small = to_pillow(pixels).resize(size[::-1], Image.Resampling.BOX)
        return planes(np.asarray(small))
    rows, columns = (nearest_index(n, low) for n, low in zip(pixels.shape[:2], size, strict=True))
    return np.take(np.take(pixels, rows, axis=0), columns, axis=1)


def enlarge(pixels: Pixels, size: tuple[int, int], filter: str) -> Pixels:
    """Enlarge ``pixels`` to ``size`` (height, width): repeated, or interpolated for ``"box"``."""
    if filter == "box":
        large = to_pillow(pixels).resize(size[::-1], Image.Resampling.BILINEAR)
        return planes(np.asarray(large))
    rows, columns = (nearest_index(low, n) for low, n in zip(pixels.shape[:2], size, strict=True))
    return np.take(np.take(pixels, columns, axis=1), rows, axis=0)

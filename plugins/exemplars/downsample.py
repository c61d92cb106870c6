"""Uniform downsampling and k-bit pixels: the codecs that treat all pixels alike."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from PIL import Image

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codec import HEADER, ImageCodec, damaged
from cl_strategies.plugins.exemplars.coders import RawCoder, make_coder
from cl_strategies.plugins.exemplars.pixels import Pixels, planes, to_pillow
from cl_strategies.plugins.masking.nearest import check_eta, low_size, nearest_index

FILTERS = ("nearest", "box")
_SIZE = struct.Struct("<HHB")  # low height, low width, filter


class Downsample(ImageCodec):
    """The whole image at low resolution.

    :param eta: ratio of areas, at least 1; 4 halves each side.
    :param filter: ``"nearest"`` keeps one pixel of each cell and repeats it, which is the
        background of CIM; ``"box"`` keeps the mean of each cell and interpolates bilinearly.
    :param inner: how the small image is written: ``raw``, ``png``, ``jpeg``, ``webp`` or
        ``webp-lossless``.
    :param quality: of a lossy ``inner``.
    :raises UserError: for an option out of range.
    """

    name: ClassVar[str] = "downsample"
    number: ClassVar[int] = 5

    def __init__(
        self, *, eta: float = 4.0, filter: str = "nearest", inner: str = "raw", quality: int = 75
    ) -> None:
        check_eta(eta)
        if filter not in FILTERS:
            raise UserError(f"filter is {filter!r}: use {' or '.join(FILTERS)}")
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
    """``pixels`` at ``size`` (height, width)."""
    if filter == "box":
        small = to_pillow(pixels).resize(size[::-1], Image.Resampling.BOX)
        return planes(np.asarray(small))
    rows, columns = (nearest_index(n, low) for n, low in zip(pixels.shape[:2], size, strict=True))
    return np.take(np.take(pixels, rows, axis=0), columns, axis=1)


def enlarge(pixels: Pixels, size: tuple[int, int], filter: str) -> Pixels:
    """``pixels`` at ``size`` (height, width): repeated, or interpolated for ``"box"``."""
    if filter == "box":
        large = to_pillow(pixels).resize(size[::-1], Image.Resampling.BILINEAR)
        return planes(np.asarray(large))
    rows, columns = (nearest_index(low, n) for low, n in zip(pixels.shape[:2], size, strict=True))
    return np.take(np.take(pixels, columns, axis=1), rows, axis=0)

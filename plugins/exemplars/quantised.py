"""Pixels of k bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codec import HEADER, ImageCodec, damaged, expect_length
from cl_strategies.plugins.exemplars.coders import RawCoder, make_coder
from cl_strategies.plugins.exemplars.pixels import Pixels

#: Lossy files would scatter the levels of neighbouring pixels.
INNER = ("raw", "png", "webp-lossless")


class Quantised(ImageCodec):
    """Each channel on ``2**bits`` evenly spaced levels between its minimum and its maximum.

    The two limits of each channel and the number of bits are stored with the image.

    :param bits: bits per value, 1 to 7.
    :param inner: ``raw`` packs the bits tightly; ``png`` and ``webp-lossless`` write the level
        of each value as a pixel.
    :raises UserError: for an option out of range.
    """

    name: ClassVar[str] = "quantised"
    number: ClassVar[int] = 6

    def __init__(self, *, bits: int = 4, inner: str = "raw") -> None:
        if type(bits) is not int or not 1 <= bits <= 7:
            raise UserError(f"bits is {bits!r}: give an integer from 1 to 7")
        if inner not in INNER:
            raise UserError(f"inner is {inner!r}: use one that keeps levels: {', '.join(INNER)}")
        self.bits = bits
        self.coder = make_coder(inner)

    def cost(self, pixels: Pixels, box: Sequence[int] | None = None) -> int:
        if not isinstance(self.coder, RawCoder):
            return super().cost(pixels)
        return HEADER.size + 1 + 2 * pixels.shape[2] + -(-pixels.size * self.bits // 8)

    def pack(self, pixels: Pixels, box: Sequence[int] | None) -> bytes:
        low = pixels.min((0, 1)).astype(np.int32)
        extent = pixels.max((0, 1)) - low
        top = 2**self.bits - 1
        levels = (2 * top * (pixels - low) + extent) // np.maximum(2 * extent, 1)  # rounded
        levels = levels.astype(np.uint8)
        limits = bytes([self.bits, *low.tolist(), *(low + extent).tolist()])
        if isinstance(self.coder, RawCoder):
            return limits + pack_bits(levels, self.bits)
        return limits + self.coder.write(levels)

    def unpack(self, body: bytes, shape: tuple[int, int, int]) -> Pixels:
        channels = shape[2]
        bits, rest = body[0], body[1 + 2 * channels :]
        low, high = np.frombuffer(body, np.uint8, 2 * channels, 1).reshape(2, -1).astype(np.int32)
        if not 1 <= bits <= 7 or (low > high).any():
            raise damaged(f"it declares {bits} bits between {low.tolist()} and {high.tolist()}")
        top = 2**bits - 1
        if isinstance(self.coder, RawCoder):
            levels = unpack_bits(rest, bits, shape)
        else:
            levels = self.coder.read(rest, shape)
        if levels.max() > top:
            raise damaged(f"a level exceeds the {bits} bits declared")
        values = low + (2 * levels.astype(np.int32) * (high - low) + top) // (2 * top)
        return values.astype(np.uint8)


def pack_bits(levels: Pixels, bits: int) -> bytes:
    """``bits`` bits per value, most significant first, padded with zeros to whole bytes."""
    planes = (levels.reshape(-1, 1) >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(planes.astype(bool)).tobytes()


def unpack_bits(data: bytes, bits: int, shape: tuple[int, int, int]) -> Pixels:
    """The values that :func:`pack_bits` was given.

    :raises UserError: if there are fewer or more bytes than they take.
    """
    count = shape[0] * shape[1] * shape[2]
    expect_length(data, -(-count * bits // 8), "a quantised image")
    flat = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits).reshape(count, bits)
    weights = 1 << np.arange(bits - 1, -1, -1)
    return (flat @ weights.astype(np.uint8)).astype(np.uint8).reshape(shape)

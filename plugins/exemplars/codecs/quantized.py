"""Images of one to seven bits per value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le
from typing_extensions import Doc

from cl_strategies.plugins.exemplars.codecs.base import HEADER, ImageCodec, damaged, expect_length
from cl_strategies.plugins.exemplars.codecs.image_files import RawCoder, make_coder
from cl_strategies.plugins.exemplars.codecs.pixels import Pixels
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class Quantized(ImageCodec):
    """Store each channel on ``2**bits`` evenly spaced levels between its minimum and maximum.

    The two limits of each channel and the number of bits are stored with the image.

    :raises UserError: for an option out of its range.
    """

    name: ClassVar[str] = "quantized"
    number: ClassVar[int] = 6

    def __init__(
        self,
        *,
        bits: Annotated[int, Ge(1), Le(7), Doc("Bits per value.")] = 4,
        # Lossy files would scatter the levels of neighboring pixels.
        inner: Annotated[
            Literal["raw", "png", "webp-lossless"],
            Doc(
                'How levels are written: ``"raw"`` packs their bits; the others write each level '
                "as a pixel of a lossless file."
            ),
        ] = "raw",
    ) -> None:
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
    """Pack ``bits`` bits per value, most significant first, padded with zeros to whole bytes."""
    planes = (levels.reshape(-1, 1) >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(planes.astype(bool)).tobytes()


def unpack_bits(data: bytes, bits: int, shape: tuple[int, int, int]) -> Pixels:
    """Unpack the values that :func:`pack_bits` was given.

    :raises UserError: if there are fewer or more bytes than they take.
    """
    count = shape[0] * shape[1] * shape[2]
    expect_length(data, -(-count * bits // 8), "a quantized image")
    flat = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits).reshape(count, bits)
    weights = 1 << np.arange(bits - 1, -1, -1)
    return (flat @ weights.astype(np.uint8)).astype(np.uint8).reshape(shape)

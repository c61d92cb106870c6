"""The interface of codecs: pixels to bytes and back, and how many bytes.

A payload begins with seven bytes that say what it is: version, codec, height, width, channels.
Whatever else is needed to decode it follows, so that a payload is self-contained and all of what
an image costs in memory is in it.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codecs.pixels import Pixels

VERSION = 1
HEADER = struct.Struct("<BBHHB")  # version, codec, height, width, channels
#: Payloads that declare more pixels are refused before anything of that size is allocated.
MAX_PIXELS = 2**26

#: Numbers of this package's codecs; those of others begin at 128.
NUMBERS: dict[int, str] = {
    1: "raw",
    2: "png",
    3: "jpeg",
    4: "webp",
    5: "downsample",
    6: "quantized",
    7: "two-resolution",
}


class Codec(Protocol):
    """Pixels to bytes and back.

    Any object of this shape will do; :class:`ImageCodec` is where this package's begin.

    :cvar name: Registered name.
    :cvar needs_box: Whether :meth:`encode` needs a box.
    """

    name: ClassVar[str]
    needs_box: ClassVar[bool]

    def encode(self, pixels: Pixels, box: Sequence[int] | None = None) -> bytes: ...

    def decode(self, payload: bytes) -> Pixels: ...

    def cost(self, pixels: Pixels, box: Sequence[int] | None = None) -> int: ...

    def check(self, payload: bytes) -> None: ...


class ImageCodec(ABC):
    """A codec that packs and unpacks what follows the header.

    :cvar number: Number of the codec in headers; see :data:`NUMBERS`.
    """

    name: ClassVar[str]
    number: ClassVar[int]
    needs_box: ClassVar[bool] = False

    def encode(self, pixels: Pixels, box: Sequence[int] | None = None) -> bytes:
        """Encode an image as bytes.

        :param pixels: uint8 ``(H, W, C)``.
        :param box: ``(h0, h1, w0, w1)``, half-open; only some codecs look at it.
        :raises UserError: for pixels of another kind, or a missing or unfit box.
        """
        height, width, channels = _shape(pixels)
        header = HEADER.pack(VERSION, self.number, height, width, channels)
        return header + self.pack(pixels, box)

    def decode(self, payload: bytes) -> Pixels:
        """Decode an image: uint8 ``(H, W, C)``; the original one for a lossless codec.

        :raises UserError: if the payload is damaged, declares too large an image, or was made by
            another codec.
        """
        shape = self._read_header(payload)
        try:
            pixels = self.unpack(payload[HEADER.size :], shape)
        except UserError:
            raise
        except Exception as error:  # decoders raise a dozen unrelated types for bad bytes
            raise damaged(f"{type(error).__name__}: {error}") from error
        if pixels.shape != shape or pixels.dtype != np.uint8:
            raise damaged(f"it declares the shape {shape} and holds {pixels.shape}")
        return pixels

    def cost(self, pixels: Pixels, box: Sequence[int] | None = None) -> int:
        """Return how many bytes :meth:`encode` would, without encoding if that is possible."""
        return len(self.encode(pixels, box))

    def check(self, payload: bytes) -> None:
        """Check the header alone.

        :raises UserError: as :meth:`decode`, as far as the header shows.
        """
        self._read_header(payload)

    @abstractmethod
    def pack(self, pixels: Pixels, box: Sequence[int] | None) -> bytes:
        """Write what follows the header."""

    @abstractmethod
    def unpack(self, body: bytes, shape: tuple[int, int, int]) -> Pixels:
        """Read the image of this shape; any exception counts as damage."""

    def _read_header(self, payload: bytes) -> tuple[int, int, int]:
        if len(payload) < HEADER.size:
            raise damaged(f"it has {len(payload)} bytes, fewer than its header")
        version, number, height, width, channels = HEADER.unpack_from(payload)
        if version != VERSION:
            raise damaged(f"its version is {version}, expected {VERSION}")
        if number != self.number:
            made_by = NUMBERS.get(number, f"number {number}")
            raise UserError(
                f"a stored exemplar was made by the codec {made_by}, but the codec here is "
                f"{self.name}: use the codec that the memory was made with"
            )
        if not height or not width or channels not in (1, 3):
            raise damaged(f"it declares {height}x{width} pixels with {channels} channels")
        if height * width > MAX_PIXELS:
            raise damaged(
                f"it declares {height}x{width} pixels, more than the {MAX_PIXELS:,} allowed"
            )
        return height, width, channels


def damaged(why: str) -> UserError:
    """Return the error for a payload that cannot be decoded."""
    return UserError(
        f"a stored exemplar is damaged ({why}): restore the memory from another checkpoint"
    )


def expect_length(data: bytes, length: int, what: str) -> None:
    """Refuse data of another length.

    :raises UserError: unless ``data`` has exactly ``length`` bytes.
    """
    if len(data) != length:
        raise damaged(f"{what} has {len(data)} bytes, expected {length}")


def _shape(pixels: Pixels) -> tuple[int, int, int]:
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3:
        what = f"{getattr(pixels, 'dtype', type(pixels).__name__)}"
        raise UserError(
            f"a codec was given {what} of shape {getattr(pixels, 'shape', None)}: "
            "give a uint8 array (H, W, C)"
        )
    height, width, channels = pixels.shape
    too_large = max(height, width) >= 2**16 or height * width > MAX_PIXELS
    if channels not in (1, 3) or not height or not width or too_large:
        raise UserError(
            f"a codec was given {height}x{width} pixels with {channels} channels: images have 1 "
            f"or 3 channels, sides of 1 to 65535 and at most {MAX_PIXELS:,} pixels"
        )
    return height, width, channels

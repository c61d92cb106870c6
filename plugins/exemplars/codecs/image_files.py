"""Write rectangles of pixels as bytes: as they are, or as PNG, JPEG or WebP files.

The part that codecs share: a codec decides which pixels to keep, a coder how to write them.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from PIL import Image, features

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codecs.base import damaged, expect_length
from cl_strategies.plugins.exemplars.codecs.options import JPEGQuality, PNGLevel, Quality
from cl_strategies.plugins.exemplars.codecs.pixels import Pixels, planes, to_pillow
from cl_strategies.validation.hyperparameters import hyperparameters


class Coder(ABC):
    """Writes and reads pixels of a shape that the reader is told.

    :cvar lossless: Whether what is read is what was written.
    """

    lossless: ClassVar[bool] = True

    @abstractmethod
    def write(self, pixels: Pixels) -> bytes: ...

    @abstractmethod
    def read(self, data: bytes, shape: tuple[int, int, int]) -> Pixels: ...


class RawCoder(Coder):
    """One byte per value."""

    def write(self, pixels: Pixels) -> bytes:
        return pixels.tobytes()

    def read(self, data: bytes, shape: tuple[int, int, int]) -> Pixels:
        expect_length(data, shape[0] * shape[1] * shape[2], "an image")
        return np.frombuffer(data, dtype=np.uint8).reshape(shape)


@hyperparameters
@dataclass(frozen=True, kw_only=True)
class PNGCoder(Coder):
    """PNG."""

    level: PNGLevel

    def write(self, pixels: Pixels) -> bytes:
        return _save(to_pillow(pixels), "PNG", compress_level=self.level)

    def read(self, data: bytes, shape: tuple[int, int, int]) -> Pixels:
        return _load(data, "PNG", shape)


@hyperparameters
@dataclass(frozen=True, kw_only=True)
class JPEGCoder(Coder):
    """JPEG with the tables left out: they follow from the quality, which is one byte.

    A JPEG file spends some 570 bytes on its quantization and Huffman tables; in a small image
    that is more than its pixels take.
    """

    quality: JPEGQuality
    lossless: ClassVar[bool] = False

    def write(self, pixels: Pixels) -> bytes:
        picture = to_pillow(pixels)
        image = _save(picture, "JPEG", quality=self.quality, streamtype=2)
        return bytes([self.quality]) + image[2:]

    def read(self, data: bytes, shape: tuple[int, int, int]) -> Pixels:
        quality = data[0]
        if not 1 <= quality <= 95:
            raise damaged(f"its JPEG quality is {quality}")
        return _load(_jpeg_tables(quality, shape[2]) + data[1:], "JPEG", shape)


@lru_cache(maxsize=256)
def _jpeg_tables(quality: int, channels: int) -> bytes:
    """Return a JPEG stream that holds the tables alone, without its end marker."""
    any_image = Image.new("RGB" if channels == 3 else "L", (8, 8))
    return _save(any_image, "JPEG", quality=quality, streamtype=1)[:-2]


@hyperparameters
@dataclass(frozen=True, kw_only=True)
class WebPCoder(Coder):
    """Lossy WebP."""

    quality: Quality
    lossless: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_webp()

    def write(self, pixels: Pixels) -> bytes:
        return _save(to_pillow(pixels).convert("RGB"), "WEBP", quality=self.quality)

    def read(self, data: bytes, shape: tuple[int, int, int]) -> Pixels:
        return _load(data, "WEBP", shape)


class LosslessWebPCoder(Coder):
    """Lossless WebP."""

    def __init__(self) -> None:
        _check_webp()

    def write(self, pixels: Pixels) -> bytes:
        return _save(to_pillow(pixels).convert("RGB"), "WEBP", lossless=True)

    def read(self, data: bytes, shape: tuple[int, int, int]) -> Pixels:
        return _load(data, "WEBP", shape)


CODERS: dict[str, Callable[[int], Coder]] = {
    "raw": lambda quality: RawCoder(),
    "png": lambda quality: PNGCoder(level=6),
    "jpeg": lambda quality: JPEGCoder(quality=quality),
    "webp": lambda quality: WebPCoder(quality=quality),
    "webp-lossless": lambda quality: LosslessWebPCoder(),
}


def make_coder(inner: str, quality: int = 100) -> Coder:
    """Return the coder that the option ``inner`` of a codec names.

    :param quality: Quality of a lossy file.
    :raises UserError: for a quality out of range, or a Pillow without WebP.
    """
    return CODERS[inner](quality)


def _save(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def _load(data: bytes, file_format: str, shape: tuple[int, int, int]) -> Pixels:
    """Decode a file, but only one of the size and format that it is said to be."""
    height, width, channels = shape
    with Image.open(io.BytesIO(data), formats=[file_format]) as picture:
        if picture.size != (width, height):
            raise damaged(f"it holds {picture.size[1]}x{picture.size[0]} pixels, not {shape[:2]}")
        if file_format != "WEBP" and picture.mode != ("RGB" if channels == 3 else "L"):
            raise damaged(f"it holds an image of mode {picture.mode}")
        return planes(np.asarray(picture.convert("RGB" if channels == 3 else "L")))


def _check_webp() -> None:
    if not features.check("webp"):
        raise UserError("this Pillow was built without WebP: install one that has it, or use jpeg")

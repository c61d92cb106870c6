"""Rectangles of pixels to bytes: as they are, or as a PNG, JPEG or WebP file.

The part that codecs share: a codec decides which pixels to keep, a coder how to write them.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from PIL import Image, features

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.plugins.exemplars.codec import damaged, expect_length
from cl_strategies.plugins.exemplars.pixels import Pixels, planes, to_pillow


class Coder(ABC):
    """Writes and reads pixels of a shape that the reader is told.

    :cvar lossless: whether what is read is what was written.
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


@dataclass(frozen=True)
class PNGCoder(Coder):
    """PNG.

    :param level: effort of the compression, 0 to 9.
    """

    level: int = 6

    def __post_init__(self) -> None:
        _check_range("level", self.level, 0, 9)

    def write(self, pixels: Pixels) -> bytes:
        return _save(to_pillow(pixels), "PNG", compress_level=self.level)

    def read(self, data: bytes, shape: tuple[int, int, int]) -> Pixels:
        return _load(data, "PNG", shape)


@dataclass(frozen=True)
class JPEGCoder(Coder):
    """JPEG with the tables left out: they follow from the quality, which is one byte.

    A JPEG file spends some 570 bytes on its quantisation and Huffman tables; in a small image
    that is more than its pixels take.

    :param quality: 1 to 95, as in Pillow.
    """

    quality: int = 75
    lossless: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_range("quality", self.quality, 1, 95)

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
    """A JPEG stream that holds the tables alone, without its end marker."""
    any_image = Image.new("RGB" if channels == 3 else "L", (8, 8))
    return _save(any_image, "JPEG", quality=quality, streamtype=1)[:-2]


@dataclass(frozen=True)
class WebPCoder(Coder):
    """Lossy WebP.

    :param quality: 1 to 100, as in Pillow.
    """

    quality: int = 75
    lossless: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_range("quality", self.quality, 1, 100)
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


CODERS = ("raw", "png", "jpeg", "webp", "webp-lossless")


def make_coder(name: str, quality: int = 75) -> Coder:
    """The coder of this name.

    :param name: one of :data:`CODERS`.
    :param quality: for the lossy ones.
    :raises UserError: for an unknown name or a quality out of range.
    """
    if name == "jpeg":
        return JPEGCoder(quality)
    if name == "webp":
        return WebPCoder(quality)
    lossless = {"raw": RawCoder, "png": PNGCoder, "webp-lossless": LosslessWebPCoder}
    if name not in lossless:
        raise unknown_name("coder", name, CODERS)
    return lossless[name]()


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


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise UserError(f"{name} is {value!r}: give an integer from {low} to {high}")


def _check_webp() -> None:
    if not features.check("webp"):
        raise UserError("this Pillow was built without WebP: install one that has it, or use jpeg")

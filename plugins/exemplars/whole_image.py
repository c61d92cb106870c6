"""Codecs that keep every pixel of an image, exactly or nearly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from cl_strategies.plugins.exemplars.codec import HEADER, ImageCodec
from cl_strategies.plugins.exemplars.coders import (
    Coder,
    JPEGCoder,
    LosslessWebPCoder,
    PNGCoder,
    RawCoder,
    WebPCoder,
)
from cl_strategies.plugins.exemplars.pixels import Pixels


class _WholeImage(ImageCodec):
    def __init__(self, coder: Coder) -> None:
        self.coder = coder

    def pack(self, pixels: Pixels, box: Sequence[int] | None) -> bytes:
        return self.coder.write(pixels)

    def unpack(self, body: bytes, shape: tuple[int, int, int]) -> Pixels:
        return self.coder.read(body, shape)


class Raw(_WholeImage):
    """One byte per value: what a memory of uint8 images takes."""

    name: ClassVar[str] = "raw"
    number: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__(RawCoder())

    def cost(self, pixels: Pixels, box: Sequence[int] | None = None) -> int:
        return HEADER.size + pixels.size


class PNG(_WholeImage):
    """Lossless PNG.

    :param level: effort of the compression, 0 to 9.
    :raises UserError: for a level out of range.
    """

    name: ClassVar[str] = "png"
    number: ClassVar[int] = 2

    def __init__(self, *, level: int = 6) -> None:
        super().__init__(PNGCoder(level))


class JPEG(_WholeImage):
    """JPEG, its tables counted once in the code and not in every exemplar.

    :param quality: 1 to 95; :func:`~cl_strategies.plugins.exemplars.quality.choose_jpeg_quality`
        finds one as MRDC does.
    :raises UserError: for a quality out of range.
    """

    name: ClassVar[str] = "jpeg"
    number: ClassVar[int] = 3

    def __init__(self, *, quality: int = 75) -> None:
        super().__init__(JPEGCoder(quality))


class WebP(_WholeImage):
    """WebP, lossy or lossless.

    :param quality: 1 to 100, for the lossy form.
    :param lossless: keep every pixel as it is.
    :raises UserError: for a quality out of range, or a Pillow without WebP.
    """

    name: ClassVar[str] = "webp"
    number: ClassVar[int] = 4

    def __init__(self, *, quality: int = 75, lossless: bool = False) -> None:
        super().__init__(LosslessWebPCoder() if lossless else WebPCoder(quality))

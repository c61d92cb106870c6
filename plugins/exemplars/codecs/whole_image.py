"""Codecs that keep every pixel of an image, exactly or nearly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from typing_extensions import Doc

from cl_strategies.plugins.exemplars.codecs.base import HEADER, ImageCodec
from cl_strategies.plugins.exemplars.codecs.image_files import (
    Coder,
    JPEGCoder,
    LosslessWebPCoder,
    PNGCoder,
    RawCoder,
    WebPCoder,
)
from cl_strategies.plugins.exemplars.codecs.options import JPEGQuality, PNGLevel, Quality
from cl_strategies.plugins.exemplars.codecs.pixels import Pixels
from cl_strategies.validation.hyperparameters import hyperparameters


class _WholeImage(ImageCodec):
    def __init__(self, coder: Coder) -> None:
        self.coder = coder

    def pack(self, pixels: Pixels, box: Sequence[int] | None) -> bytes:
        return self.coder.write(pixels)

    def unpack(self, body: bytes, shape: tuple[int, int, int]) -> Pixels:
        return self.coder.read(body, shape)


@hyperparameters
class Raw(_WholeImage):
    """Store one byte per value, as a memory of uint8 images does."""

    name: ClassVar[str] = "raw"
    number: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__(RawCoder())

    def cost(self, pixels: Pixels, box: Sequence[int] | None = None) -> int:
        return HEADER.size + pixels.size


@hyperparameters
class PNG(_WholeImage):
    """Store lossless PNG files.

    :raises UserError: for an option out of its range.
    """

    name: ClassVar[str] = "png"
    number: ClassVar[int] = 2

    def __init__(self, *, level: PNGLevel = 6) -> None:
        super().__init__(PNGCoder(level=level))


@hyperparameters
class JPEG(_WholeImage):
    """Store JPEG files without their tables, which follow from the quality.

    :func:`choose_jpeg_quality` finds a quality as MRDC does.

    :raises UserError: for an option out of its range.
    """

    name: ClassVar[str] = "jpeg"
    number: ClassVar[int] = 3

    def __init__(self, *, quality: JPEGQuality = 75) -> None:
        super().__init__(JPEGCoder(quality=quality))


@hyperparameters
class WebP(_WholeImage):
    """Store WebP files, lossy or lossless.

    :raises UserError: for an option out of its range, or a Pillow without WebP.
    """

    name: ClassVar[str] = "webp"
    number: ClassVar[int] = 4

    def __init__(
        self,
        *,
        quality: Quality = 75,
        lossless: Annotated[bool, Doc("Keep every pixel as it is.")] = False,
    ) -> None:
        super().__init__(LosslessWebPCoder() if lossless else WebPCoder(quality=quality))

"""What a data file may make us allocate: known from its first bytes, before it is unpacked."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import BinaryIO, cast

from PIL import Image

from cl_strategies.io.bounded import open_regular, read_bounded

#: More pixels than any picture of the data sets here has; 200 MB once decoded.
MAX_PIXELS = 2**26
#: MNIST's training images have 47,040,016 bytes unpacked, the most of a compressed file here.
MAX_BYTES = 2**26
#: More bytes than the file of any picture has: uncompressed, of the most pixels.
MAX_PICTURE_BYTES = 2**28
_ANIMATED = 2
#: Formats that the data sets are published in, and WEBP, to which people convert them. A decoder of
#: each takes memory for the size that is measured here; one of TIFF takes it for single tiles.
FORMATS = ("JPEG", "PNG", "WEBP")


def read_picture(path: Path, mode: str, most: int = MAX_PIXELS) -> Image.Image:
    """Return the picture in ``path``, decoded if it has at most ``most`` pixels.

    :param mode: Pillow's name of what is wanted: ``"RGB"`` or ``"L"``.
    :raises OSError: if it is empty or larger, animated WEBP, of a format not among
        :data:`FORMATS`, damaged or missing.
    """
    try:
        opened = open_regular(path)
    except ValueError as error:  # a null byte
        raise OSError(str(error)) from error
    with opened as file:
        if os.fstat(file.fileno()).st_size > MAX_PICTURE_BYTES:
            raise OSError(f"it has more than the {MAX_PICTURE_BYTES:,} bytes allowed")
        return decode_picture(file, mode, most)


def decode_picture(file: BinaryIO, mode: str, most: int = MAX_PIXELS) -> Image.Image:
    """Return the picture that an open file holds; raises like :func:`read_picture`."""
    try:
        _check_webp(file, most)
        with Image.open(file, formats=FORMATS) as picture:
            _check_pixels(*picture.size, most)
            if picture.mode.startswith(("I", "F")):
                raise OSError("its pixels have more than 8 bits, which would be cut off")
            return picture.convert(mode)
    except OSError:
        raise
    except Exception as error:  # decoders raise a dozen unrelated types for bad bytes
        raise OSError(f"{type(error).__name__}: {error}") from error


def _check_pixels(width: int, height: int, most: int) -> None:
    if width * height > most:
        raise OSError(f"{width}x{height} pixels are more than the {most:,} allowed")


def _check_webp(file: BinaryIO, most: int) -> None:
    """Pillow takes memory for the whole canvas of a WEBP file when it opens it."""
    head = file.read(30)
    file.seek(0)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP" or len(head) < 30:
        return
    if head[12:16] == b"VP8X":
        if head[20] & _ANIMATED:
            raise OSError("it is an animation, not a picture")
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    elif head[12:16] == b"VP8L":
        packed = int.from_bytes(head[21:25], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    _check_pixels(width, height, most)


def unpack(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a ``.gz`` file, if it is not longer than ``limit`` bytes.

    :raises OSError: if it is longer, or the file is missing or no ``.gz`` file.
    :raises EOFError: if it is cut short.
    :raises zlib.error: if it is damaged.
    """
    with open_regular(path) as raw, gzip.open(raw) as file:
        content = read_bounded(cast(BinaryIO, file), limit)
    if len(content) > limit:
        raise OSError(f"it unpacks to more than the {limit:,} bytes allowed")
    return content

"""What a data file may make us allocate: known from its first bytes, before it is unpacked."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import BinaryIO, cast

from PIL import Image

from cl_strategies.regular import open_regular, read_bounded

#: More pixels than any picture of the data sets here has; 200 MB once decoded.
MAX_PIXELS = 2**26
#: More bytes than any unpacked file of the data sets here has.
MAX_BYTES = 2**30
#: Formats of pictures that are opened: no page descriptions, and nothing that runs a program.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def read_picture(path: Path, mode: str) -> Image.Image:
    """The picture in ``path``, decoded if it is not larger than :data:`MAX_PIXELS`.

    :param mode: Pillow's name of what is wanted: ``"RGB"`` or ``"L"``.
    :raises OSError: if it is larger, of a format not among :data:`FORMATS`, damaged or missing.
    """
    try:
        with open_regular(path) as file, Image.open(file, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise OSError(f"{width}x{height} pixels are more than the {MAX_PIXELS:,} allowed")
            return picture.convert(mode)
    except OSError:
        raise
    except Exception as error:  # decoders raise a dozen unrelated types for bad bytes
        raise OSError(f"{type(error).__name__}: {error}") from error


def unpack(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The content of a ``.gz`` file, if it is not longer than ``limit`` bytes.

    :raises OSError: if it is longer, or the file is missing or no ``.gz`` file.
    :raises EOFError: if it is cut short.
    :raises zlib.error: if it is damaged.
    """
    with open_regular(path) as raw, gzip.open(raw) as file:
        content = read_bounded(cast(BinaryIO, file), limit)
    if len(content) > limit:
        raise OSError(f"it unpacks to more than the {limit:,} bytes allowed")
    return content

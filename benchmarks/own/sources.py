"""Where images of own data come from: files, cells of a table, items of a data set."""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cl_strategies.benchmarks.own.pictures import Pictures, Treatment
from cl_strategies.benchmarks.readers.size_limits import MAX_PICTURE_BYTES, decode_picture
from cl_strategies.io.bounded import read_regular


class FileSource:
    """Image files.

    :param paths: one per image.
    :param names: what messages call them; ``None``: by their paths.
    """

    parallel = True

    def __init__(self, paths: Sequence[Path], names: Sequence[str] | None = None) -> None:
        self.paths, self.names = paths, names

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, row: int, mode: str) -> tuple[Image.Image, bytes]:
        try:
            content = read_regular(self.paths[row], MAX_PICTURE_BYTES)
        except ValueError as error:  # a null byte
            raise OSError(str(error)) from error
        return decode_picture(io.BytesIO(content), mode), content

    def name(self, row: int) -> str:
        return str(self.paths[row]) if self.names is None else self.names[row]


class ItemSource:
    """Images in memory, or read by a data set of somebody's.

    :param item: returns the image at a position: a Pillow image, uint8 ``(H, W)``, ``(H, W, C)``
        or ``(C, H, W)``, or ``{"bytes": ...}`` as Hugging Face's data sets hold it.
    :param length: number of images.
    :param what: what messages call one: ``"sample"``, ``"row"``.
    """

    parallel = False  # code of others need not stand several threads

    def __init__(self, item: Callable[[int], Any], length: int, what: str = "sample") -> None:
        self.item, self.length, self.what = item, length, what

    def __len__(self) -> int:
        return self.length

    def read(self, row: int, mode: str) -> tuple[Image.Image, bytes]:
        image = as_image(self.item(row))
        content = f"{image.mode} {image.size} ".encode() + image.tobytes()
        return image.convert(mode), content

    def name(self, row: int) -> str:
        return f"{self.what} {row}"


def as_image(value: Any) -> Image.Image:
    """Return ``value`` as a Pillow image of 8 bits per channel.

    :raises OSError: if it is none.
    """
    if isinstance(value, Mapping) and value.get("bytes") is not None:
        return decode_picture(io.BytesIO(value["bytes"]), "RGB")
    if hasattr(value, "numpy"):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        value = _from_array(value)
    if not isinstance(value, Image.Image):
        raise OSError(f"it is a {type(value).__name__}, not a Pillow image or an array of bytes")
    if value.mode.startswith(("I", "F")):
        raise OSError("its pixels have more than 8 bits, which would be cut off")
    return value


def is_image(value: Any) -> bool:
    """Return whether ``value`` is an image of bytes, of any of the kinds that are read here."""
    if isinstance(value, Image.Image):
        return True
    if isinstance(value, Mapping):
        return "bytes" in value
    return str(getattr(value, "dtype", "")).rpartition(".")[2] == "uint8"


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8:
        raise OSError(f"it is an array of {array.dtype}, not of uint8")
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise OSError(f"an array of the shape {array.shape} is no image of one or three channels")
    return Image.fromarray(np.ascontiguousarray(array))


#: Decoded images of this process, by what they were read from; the last one used is the last.
_DECODED: OrderedDict[bytes, Pictures] = OrderedDict()


def decoded_files(source: FileSource, treatment: Treatment, cache_bytes: int) -> Pictures:
    """Return the images of files, decoded once in this process as long as the files stay as they
    are and what is kept takes no more than ``cache_bytes``.

    :raises UserError: as :class:`~cl_strategies.benchmarks.own.pictures.Pictures`.
    """
    key = _key(source, treatment)
    found = _DECODED.pop(key, None) if key else None
    if found is None or (found.pixels is None and found.n_bytes <= cache_bytes):
        found = Pictures(source, treatment, cache_bytes)
    if key and found.pixels is not None:
        _DECODED[key] = found
    while sum(one.n_bytes for one in _DECODED.values()) > cache_bytes:
        _DECODED.popitem(last=False)
    return found


def _key(source: FileSource, treatment: Treatment) -> bytes:
    """Return what tells whether files are as they were; nothing if one cannot be looked at."""
    state = hashlib.sha256(repr(treatment).encode())
    try:
        for path in source.paths:
            status = path.stat()
            state.update(f"{path.absolute()} {status.st_size} {status.st_mtime_ns};".encode())
    except (OSError, ValueError):
        return b""
    return state.digest()

"""MATLAB files: measured and unpacked here, so that scipy sees no more than plain arrays.

Cells in cells would end the interpreter in scipy, whose reader calls itself for each; and what it
inflates is as long as the compressed bytes go on, whatever the shapes say.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from cl_strategies.regular import open_regular

#: More bytes than the arrays of any file of SVHN that is read here have.
MAX_BYTES = 2**29
_HEADER = 128
_COMPRESSED = 15
_ITEM_BYTES = {
    **{f"{sign}int{8 * size}": size for sign in ("", "u") for size in (1, 2, 4, 8)},
    **{"single": 4, "double": 8},
}


def read_mat_arrays(
    path: Path, dimensions: Mapping[str, int], limit: int = MAX_BYTES
) -> dict[str, Any]:
    """Arrays of numbers in a MATLAB 5.0 file; those that it lacks are left out.

    :param dimensions: which to read, and how many dimensions each has.
    :raises OSError: if one is something else, or if there is more than ``limit`` bytes.
    :raises Exception: of almost any type, if the file is damaged.
    """
    from scipy.io import loadmat, whosmat

    with open_regular(path) as file:
        unpacked = _unpacked(file, limit)
    for name, shape, kind in whosmat(unpacked):
        if name not in dimensions:
            continue
        if kind not in _ITEM_BYTES or len(shape) != dimensions[name]:
            raise OSError(
                f"{name!r} is of class {kind} with {len(shape)} dimensions: it has no array "
                f"{name!r} of numbers with {dimensions[name]}"
            )
        if min(shape) < 0 or math.prod(shape) * _ITEM_BYTES[kind] > limit:
            raise OSError(f"{name!r} of shape {shape} has more than the {limit:,} bytes allowed")
    unpacked.seek(0)
    entry = loadmat(unpacked, variable_names=list(dimensions))
    return {name: entry[name] for name in dimensions if name in entry}


def _unpacked(file: BinaryIO, limit: int) -> BinaryIO:
    """The same file with nothing in it compressed."""
    size = os.fstat(file.fileno()).st_size
    header = file.read(_HEADER)
    order = {b"IM": "<", b"MI": ">"}.get(header[126:])
    if order is None:
        raise OSError("it is not a file of MATLAB 5.0")
    unpacked = io.BytesIO()
    unpacked.write(header)
    while tag := file.read(8):
        kind, length = struct.unpack(f"{order}II", tag)
        if min(length, size - file.tell()) + unpacked.tell() > limit:
            raise OSError(f"it has more than the {limit:,} bytes allowed")
        content = file.read(min(length, size))
        if kind == _COMPRESSED:
            content = _inflated(content, limit - unpacked.tell())
        else:
            unpacked.write(tag)
        unpacked.write(content)
    unpacked.seek(0)
    return unpacked


def _inflated(content: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    inflated = stream.decompress(content, limit + 1)
    if len(inflated) > limit:
        raise OSError("it unpacks to more than the bytes allowed")
    if not stream.eof:
        raise EOFError("it is cut short")
    return inflated

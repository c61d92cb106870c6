"""MATLAB files, of which plain arrays of numbers are read, and nothing else.

Not by scipy: a type of numbers that it does not know ends the interpreter, cells in cells too, and
what is compressed within something compressed it unpacks without end.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cl_strategies.io.bounded import open_regular

#: SVHN's training images have 225,045,504 bytes.
MAX_BYTES = 2**28
#: SVHN's files have two arrays.
MAX_ARRAYS = 64
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_COMPLEX, _LOGICAL = 0x800, 0x200
#: Kinds of arrays by their number; those of numbers with the bytes of one.
_CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single"}
_CLASSES |= {8: "int8", 9: "uint8", 10: "int16", 11: "uint16"}
_CLASSES |= {12: "int32", 13: "uint32", 14: "int64", 15: "uint64"}
_ITEM_BYTES = {
    **{f"{sign}int{8 * size}": size for sign in ("", "u") for size in (1, 2, 4, 8)},
    **{"single": 4, "double": 8},
}
#: How numbers are stored, which may be narrower than the class of their array.
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_STORED |= {12: "i8", 13: "u8"}


def read_mat_arrays(
    path: Path, dimensions: Mapping[str, int], limit: int = MAX_BYTES
) -> dict[str, np.ndarray]:
    """Arrays of numbers in a MATLAB 5.0 file, as they are stored; those that it lacks are left out.

    :param dimensions: which to read, and how many dimensions each has.
    :raises OSError: if one is something else, or if there is more than ``limit`` bytes.
    :raises Exception: of almost any type, if the file is damaged.
    """
    found = {}
    with open_regular(path) as file:
        for variable in _variables(file, limit):
            if variable.name in dimensions:
                _check(variable, dimensions[variable.name], limit)
                found[variable.name] = variable.array()
    return found


@dataclass(frozen=True)
class _Variable:
    """One array of a file; ``order`` is that of the bytes in it, ``rest`` what follows its name."""

    name: str
    kind: str
    is_complex: bool
    shape: tuple[int, ...]
    order: str
    rest: memoryview

    def array(self) -> np.ndarray:
        stored, content, _ = _part(self.rest, self.order)
        if stored not in _STORED:
            raise OSError(f"{self.name!r} is stored as numbers of an unknown type")
        values = np.frombuffer(content, np.dtype(f"{self.order}{_STORED[stored]}"))
        return values.reshape(self.shape, order="F")


def _check(variable: _Variable, n_dimensions: int, limit: int) -> None:
    name, kind, shape = variable.name, variable.kind, variable.shape
    if kind not in _ITEM_BYTES or variable.is_complex or len(shape) != n_dimensions:
        shown = f"complex {kind}" if variable.is_complex else kind
        raise OSError(
            f"{name!r} is of class {shown} with {len(shape)} dimensions: it has no array "
            f"{name!r} of numbers with {n_dimensions}"
        )
    if min(shape) < 0 or math.prod(shape) * _ITEM_BYTES[kind] > limit:
        raise OSError(f"{name!r} of shape {shape} has more than the {limit:,} bytes allowed")


def _variables(file: BinaryIO, limit: int) -> Iterator[_Variable]:
    """Return all variables of a file that is not longer than ``limit`` bytes when it is
    unpacked."""
    size = os.fstat(file.fileno()).st_size
    header = file.read(_HEADER)
    order = {b"IM": "<", b"MI": ">"}.get(header[126:], "")
    if not order or header[124:126] != struct.pack(f"{order}H", 0x100):
        raise OSError("it is not a file of MATLAB 5.0")
    left = limit
    for _ in range(MAX_ARRAYS):
        tag = file.read(8)
        if not tag:
            return
        kind, length = struct.unpack(f"{order}II", tag)
        if min(length, size - file.tell()) > left:
            raise OSError(f"it has more than the {limit:,} bytes allowed")
        content = file.read(min(length, size))
        if len(content) < length:
            raise EOFError("it is cut short")
        if kind == _COMPRESSED:
            content = _inflated(content, left)
            kind, length = struct.unpack(f"{order}II", content[:8])
            matrix = memoryview(content)[8:]
        else:
            matrix = memoryview(content)
        if kind != _MATRIX or length != len(matrix):
            raise OSError("it has something else than arrays of the length that they say")
        left -= length
        yield _variable(matrix, order)
    if file.read(1):
        raise OSError(f"it has more than the {MAX_ARRAYS} arrays allowed")


def _variable(matrix: memoryview, order: str) -> _Variable:
    _, flags, rest = _part(matrix, order)
    _, shape, rest = _part(rest, order)
    _, name, rest = _part(rest, order)
    (bits,) = struct.unpack(f"{order}I", flags[:4])
    kind = "logical" if bits & _LOGICAL else _CLASSES.get(bits & 0xFF, "unknown")
    sides = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    return _Variable(bytes(name).decode("latin1"), kind, bool(bits & _COMPLEX), sides, order, rest)


def _part(content: memoryview, order: str) -> tuple[int, memoryview, memoryview]:
    """Return the type of the first element of ``content``, what is in it, and what follows.

    Up to four bytes stand in the place of their length.
    """
    (kind,) = struct.unpack(f"{order}I", content[:4])
    if kind >> 16:
        return kind & 0xFFFF, content[4 : 4 + min(kind >> 16, 4)], content[8:]
    (length,) = struct.unpack(f"{order}I", content[4:8])
    if len(content) < 8 + length:
        raise EOFError("it is cut short")
    return kind, content[8 : 8 + length], content[8 + length + -length % 8 :]


def _inflated(content: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    inflated = stream.decompress(content, limit + 9)  # eight bytes of a tag, and one too many
    if len(inflated) > limit + 8:
        raise OSError("it unpacks to more than the bytes allowed")
    if not stream.eof:
        raise EOFError("it is cut short")
    return inflated

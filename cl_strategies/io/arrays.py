"""Files of plain vectors (npz): the same bytes for the same numbers, and read within limits.

NumPy's own reader allocates what a file says; this one is told what to expect, and looks before it
allocates. ``numpy.load(path, allow_pickle=False)`` reads the files, too.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from cl_strategies.io.bounded import read_bounded

Vector = npt.NDArray[Any]
_HEADER = 2**12  # bytes, far more than that of a vector
_EPOCH = (1980, 1, 1, 0, 0, 0)


def packed(arrays: Mapping[str, Vector]) -> bytes:
    """Return an npz file, compressed.

    :param arrays: vectors of integers, booleans or floating-point numbers, by name.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    return buffer.getvalue()


class PackedArrays:
    """The vectors in the content of an npz file.

    :param content: as somebody may have forged it.
    :raises ValueError: if it is no such file.
    """

    def __init__(self, content: bytes) -> None:
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
            raise ValueError(f"it is no archive of numbers: {error}") from error
        names = self._archive.namelist()
        if len({*names}) < len(names) or not all(name.endswith(".npy") for name in names):
            raise ValueError("it has members that are no vectors, or one twice")
        self.names = frozenset(name.removesuffix(".npy") for name in names)

    def only(self, known: frozenset[str], optional: frozenset[str] = frozenset()) -> None:
        """:raises ValueError: if a vector is missing, or one neither known nor optional."""
        if not known <= self.names <= known | optional:
            raise ValueError(
                f"it has the vectors {', '.join(sorted(self.names))}, expected are "
                f"{', '.join(sorted(known))}"
            )

    def vector(self, name: str, dtypes: tuple[str, ...], length: int | None, most: int) -> Vector:
        """Return one vector.

        :param dtypes: the types it may have, such as ``"<i4"``.
        :param length: how many numbers it must have; ``None`` for up to ``most``.
        :param most: see there.
        :raises ValueError: if it is missing, damaged, of another type or length.
        """
        longest = most if length is None else length
        limit = _HEADER + longest * max(np.dtype(kind).itemsize for kind in dtypes)
        try:
            with self._archive.open(f"{name}.npy") as member:
                data = read_bounded(cast(BinaryIO, member), limit)
        except Exception as error:  # zlib, zipfile and codecs raise a dozen types for bad bytes
            raise ValueError(f"its vector {name} is damaged ({type(error).__name__})") from error
        shape, dtype, start = _header(name, data)
        if dtype.str not in dtypes or len(shape) != 1:
            raise ValueError(
                f"its vector {name} is {dtype} of shape {shape}, expected is {' or '.join(dtypes)}"
            )
        count = shape[0]
        if count > longest or (length is not None and count != length):
            expected = f"up to {most:,}" if length is None else f"{length:,}"
            raise ValueError(f"its vector {name} has {count:,} numbers, expected are {expected}")
        if len(data) != start + count * dtype.itemsize:
            raise ValueError(f"its vector {name} has another length than it says")
        return np.frombuffer(data, dtype, count, start)


def _header(name: str, data: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    file = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_HEADER)
    except Exception as error:  # whatever a forged header makes of NumPy's parser
        raise ValueError(f"its vector {name} is none ({type(error).__name__})") from error
    return shape, dtype, file.tell()

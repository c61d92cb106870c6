"""CIFAR is published as pickles. They are read without running what they say.

A pickle is a program; this reader lets it make plain data and numeric arrays, and nothing else.
Not one class or function of the file's choice is imported, called or changed. Arrays are described
by the file and made here: numpy's own objects, which believe what a pickle sets on them, are out of
its reach.
"""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from cl_strategies.benchmarks.readers.pickle_steps import check_steps
from cl_strategies.io.bounded import read_regular

#: CIFAR-100's training part has 155,249,918.
MAX_BYTES = 160_000_000

_NUMBERS = {"b1", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8"}


class _Stand:
    """Stands for a name that a pickle may ask for. Without slots, nothing can be set on it."""

    __slots__ = ()


class _Numbers:
    """Stands for a ``numpy.dtype``: numbers in an order of bytes, and nothing of the file's own."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        if type(state) is not tuple or len(state) not in (7, 8, 9):
            raise pickle.UnpicklingError("it describes numbers in an unknown way")
        version, order, *records, size, alignment = state[:7]
        plain = (version, records, size, alignment) == (len(state) - 5, [None] * 3, -1, -1)
        if not plain or state[7:] not in ((), (0,), (0, None)):
            raise pickle.UnpicklingError("it asks for an array of records or of objects")
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("it asks for numbers in an unknown order of bytes")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for a ``numpy.ndarray``, which is made when its content is known."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        if type(state) is not tuple or len(state) != 5:
            raise pickle.UnpicklingError("it describes an array in an unknown way")
        _, shape, numbers, columns_first, raw = state
        if type(shape) is not tuple or not all(type(n) is int and 0 <= n < 2**63 for n in shape):
            raise pickle.UnpicklingError("it has an array whose shape is no shape")
        if not isinstance(numbers, _Numbers) or type(raw) not in (bytes, str):
            raise pickle.UnpicklingError("it has an array that is not made of numbers")
        content = raw.encode("latin1") if isinstance(raw, str) else raw  # a str of Python 2
        if math.prod(shape) * numbers.dtype.itemsize != len(content):
            raise pickle.UnpicklingError("it has an array whose content does not fit its shape")
        made = np.frombuffer(content, numbers.dtype)
        self.array = made.reshape(shape, order="F" if columns_first else "C")


class _ArrayType(_Stand):
    """``numpy.ndarray``, good for naming only: calling it would allocate any size."""

    __slots__ = ()


class _Rebuild(_Stand):
    """An array; its content, which must be in the file, is set afterwards."""

    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, code: Any) -> _Array:
        return _Array()


class _NumericType(_Stand):
    """The type of numbers, not of objects or records."""

    __slots__ = ()

    def __call__(self, code: Any, align: Any = False, copy: Any = False) -> _Numbers:
        if type(code) is not str or code not in _NUMBERS:
            raise pickle.UnpicklingError("it asks for an array of something else than numbers")
        return _Numbers(np.dtype(code))


class _Latin1(_Stand):
    """How Python 3 writes bytes in an old protocol."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise pickle.UnpicklingError("it asks for bytes in an unexpected encoding")
        return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], _Stand] = {
    ("numpy", "ndarray"): _ArrayType(),
    ("numpy", "dtype"): _NumericType(),
    ("numpy.core.multiarray", "_reconstruct"): _Rebuild(),
    ("numpy._core.multiarray", "_reconstruct"): _Rebuild(),
    ("_codecs", "encode"): _Latin1(),
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which data must not")
        return _ALLOWED[module, name]


def load_plain_pickle(path: Path, limit: int = MAX_BYTES) -> Any:
    """Return what is pickled in ``path``: an array, or plain data. Of a dictionary, values may be
    arrays.

    :raises OSError: if it has more than ``limit`` bytes.
    :raises pickle.UnpicklingError: if it asks for anything but plain data and numeric arrays.
    :raises Exception: of almost any type, if it is damaged.
    """
    raw = read_regular(path, limit)
    check_steps(raw)
    made = _PlainUnpickler(io.BytesIO(raw), encoding="latin1").load()
    if isinstance(made, dict):
        return {key: _opened(value) for key, value in made.items()}
    return _opened(made)


def _opened(made: Any) -> Any:
    if not isinstance(made, _Array):
        return made
    if made.array is None:
        raise pickle.UnpicklingError("it has an array without content")
    return made.array

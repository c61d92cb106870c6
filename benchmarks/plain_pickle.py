"""CIFAR is published as pickles. They are read without running what they say.

A pickle is a program; this reader lets it make plain data and numeric arrays, and nothing else.
Not one class or function of the file's choice is imported, called or changed.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from cl_strategies.regular import open_regular

_REBUILD: Any = np.empty(0).__reduce__()[0]  # numpy's own way to begin an array


class _Stand:
    """Stands for a name that a pickle may ask for. Without slots, nothing can be set on it."""

    __slots__ = ()


class _ArrayType(_Stand):
    """``numpy.ndarray``, good for naming only: calling it would allocate any size."""

    __slots__ = ()


class _Rebuild(_Stand):
    """An empty array; its content, which must be in the file, is set afterwards."""

    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, code: Any) -> np.ndarray:
        return _REBUILD(np.ndarray, (0,), b"b")


class _NumericType(_Stand):
    """The type of numbers, not of objects or records."""

    __slots__ = ()

    def __call__(self, code: Any, align: Any = False, copy: Any = False) -> np.dtype[Any]:
        if not isinstance(code, str) or np.dtype(code).kind not in "biuf":
            raise pickle.UnpicklingError(f"it asks for an array of {code!r}")
        return np.dtype(code, bool(align), True)  # its own, which can be changed


class _Latin1(_Stand):
    """How Python 3 writes bytes in an old protocol."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"unexpected encoding {encoding!r}")
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


def load_plain_pickle(path: Path) -> Any:
    """What is pickled in ``path``.

    :raises pickle.UnpicklingError: if it asks for anything but plain data and numeric arrays.
    :raises Exception: of almost any type, if it is damaged.
    """
    with open_regular(path) as file:
        return _PlainUnpickler(file, encoding="latin1").load()

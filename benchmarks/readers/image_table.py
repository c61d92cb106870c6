"""Read images from a compressed CSV file, one image per line."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cl_strategies.benchmarks.readers.errors import broken
from cl_strategies.benchmarks.readers.size_limits import unpack

#: The table of 5,000 images has 9,139,322 bytes.
_TABLE_BYTES = 2**24
_LINE_LENGTH = 2**12


def read_image_table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images ``(N, 28, 28)`` uint8 and labels ``(N,)`` int64 of a compressed CSV file.

    Each line holds 784 pixels from 0 to 255 and a label from 0 to 9.
    """
    try:
        lines = _table_lines(unpack(path, _TABLE_BYTES))
        table = np.loadtxt(lines, delimiter=",", ndmin=2, dtype=np.int64)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        broken(path, str(error), error)
    if table.shape[1] != 785 or not len(table):
        broken(path, f"it has {table.shape[1]} columns, not 784 pixels and a label")
    pixels, labels = table[:, :-1], table[:, -1]
    if pixels.min() < 0 or pixels.max() > 255:
        broken(path, f"its pixels are from {pixels.min()} to {pixels.max()}, not from 0 to 255")
    if labels.min() < 0 or labels.max() > 9:
        broken(path, f"its labels are from {labels.min()} to {labels.max()}, not from 0 to 9")
    return pixels.astype(np.uint8).reshape(-1, 28, 28), labels


def _table_lines(content: bytes) -> Iterator[str]:
    """Return the lines one by one: in a list, each takes fifty bytes beside its letters."""
    for line in io.TextIOWrapper(io.BytesIO(content), encoding="ascii"):
        if len(line) > _LINE_LENGTH:
            raise ValueError(f"it has a line of more than the {_LINE_LENGTH:,} letters allowed")
        yield line

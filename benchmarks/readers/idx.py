"""Read IDX files, the format of MNIST and Fashion-MNIST.

Broken files raise a :class:`~cl_strategies.errors.DataMissingError` that names the file.
"""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path

import numpy as np

from cl_strategies.benchmarks.readers.errors import broken
from cl_strategies.benchmarks.readers.size_limits import MAX_BYTES, unpack
from cl_strategies.io.bounded import read_regular

#: The labels of MNIST's training images have 60,008 bytes.
_LABEL_BYTES = 2**17


def read_idx(path: Path, limit: int = MAX_BYTES) -> np.ndarray:
    """Read an IDX file of unsigned bytes; ``path`` may exist with the ending ``.gz`` instead.

    :param limit: the most bytes that it may have, unpacked.
    :returns: uint8, of the shape that the file names.
    """
    if not os.path.exists(path):
        path = path.with_name(f"{path.name}.gz")
    try:
        raw = unpack(path, limit) if path.suffix == ".gz" else read_regular(path, limit)
    except (OSError, EOFError, zlib.error) as error:
        broken(path, str(error), error)
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or not 1 <= raw[3] <= 3:
        broken(path, "it is not an IDX file of unsigned bytes")
    start = 4 + 4 * raw[3]
    shape = tuple(np.frombuffer(raw[4:start], dtype=">u4").tolist()) if len(raw) >= start else ()
    if not shape or len(raw) - start != math.prod(shape):
        broken(path, f"{len(raw)} bytes do not fit the shape {shape} that it names")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def read_idx_pair(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images ``(N, H, W)`` uint8 and labels ``(N,)`` int64 of ``train`` or ``t10k``."""
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte", _LABEL_BYTES)
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte")
    if images.ndim == 3 and 0 in images.shape[1:]:
        broken(folder / f"{prefix}-images-idx3-ubyte", f"images of shape {images.shape} are empty")
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        broken(
            folder / f"{prefix}-images-idx3-ubyte",
            f"images of shape {images.shape} do not belong to labels of shape {labels.shape}",
        )
    if labels.size and labels.max() > 9:
        broken(folder / f"{prefix}-labels-idx1-ubyte", f"it holds the label {labels.max()}")
    return images, labels.astype(np.int64)

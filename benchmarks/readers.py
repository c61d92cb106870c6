"""Readers of the published file formats: IDX, CIFAR's pickles, Tiny ImageNet's folders.

Broken files raise a :class:`~cl_strategies.errors.DataMissingError` that names the file.
"""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from cl_strategies.benchmarks import plain_pickle
from cl_strategies.benchmarks.damage import broken, check_name
from cl_strategies.benchmarks.limits import MAX_BYTES, unpack
from cl_strategies.benchmarks.listing import lines_in, names_in
from cl_strategies.benchmarks.plain_pickle import load_plain_pickle
from cl_strategies.regular import read_regular

#: The labels of MNIST's training images have 60,008 bytes.
_LABEL_BYTES = 2**17
#: CIFAR's names of a hundred classes have 1,500 bytes; Tiny ImageNet has 200 classes, and 10,000
#: lines of annotations.
_META_BYTES = 2**16
_MAX_CLASSES = 2**10
_MAX_ANNOTATIONS = 2**14


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
    """Images ``(N, H, W)`` uint8 and labels ``(N,)`` int64 of ``train`` or ``t10k``."""
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


def read_cifar_batch(path: Path, label_key: str, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(N, 32, 32, 3)`` uint8 and labels ``(N,)`` int64 of one of CIFAR's batches.

    :param label_key: ``"labels"`` (CIFAR-10) or ``"fine_labels"`` (CIFAR-100).
    :param n_classes: labels must be below it.
    """
    entry = read_plain_pickle(path)
    images, labels = entry.get("data"), entry.get(label_key)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2:
        broken(path, "it has no array 'data' of unsigned bytes")
    if images.shape[1] != 3072 or not isinstance(labels, list) or len(labels) != len(images):
        broken(path, f"its {images.shape} images do not fit its {label_key}")
    if not all(type(label) is int and 0 <= label < n_classes for label in labels):
        broken(path, f"its {label_key} are not all below {n_classes}")
    images = np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, np.asarray(labels, dtype=np.int64)


def read_cifar_names(path: Path, key: str) -> list[str]:
    """The class names in CIFAR's ``batches.meta`` or ``meta``."""
    names = read_plain_pickle(path, _META_BYTES).get(key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        broken(path, f"it has no list {key!r}")
    return names


def read_plain_pickle(path: Path, limit: int = plain_pickle.MAX_BYTES) -> dict[str, Any]:
    """Read a pickled dictionary of plain data and arrays; no other type is ever created."""
    try:
        entry = load_plain_pickle(path, limit)
    except Exception as error:  # a broken pickle raises almost anything
        broken(path, str(error) or type(error).__name__, error)
    if not isinstance(entry, dict):
        broken(path, f"it holds a {type(entry).__name__}, not a dictionary")
    return entry


def read_tiny_imagenet(
    folder: Path,
) -> tuple[list[str], tuple[list[Path], np.ndarray], tuple[list[Path], np.ndarray]]:
    """WordNet ids by class, then training and validation files with labels ``(N,)``.

    Classes stand in the order of ``wnids.txt``, files sorted by name, so that the result does not
    depend on the file system.
    """
    names = lines_in(folder / "wnids.txt", _MAX_CLASSES)
    if not names or len(set(names)) != len(names):
        broken(folder / "wnids.txt", "it does not hold one id per line, each once")
    for name in names:
        check_name(folder / "wnids.txt", name)
    annotations = folder / "val" / "val_annotations.txt"
    validation: dict[str, list[Path]] = {name: [] for name in names}
    for line in lines_in(annotations, _MAX_ANNOTATIONS):
        row = line.split("\t")
        if len(row) < 2 or row[1] not in validation:
            broken(annotations, f"the line {row} names no class of wnids.txt")
        check_name(annotations, row[0])
        validation[row[1]].append(folder / "val" / "images" / row[0])
    training = {name: _photographs(folder / "train" / name / "images") for name in names}
    for name in names:
        if not training[name] or not validation[name]:
            broken(folder, f"the class {name} has no images in train or in val")
    return names, _flatten(training), _flatten(validation)


def _photographs(folder: Path) -> list[Path]:
    return [folder / name for name in names_in(folder, ".JPEG")]


def _flatten(by_class: dict[str, list[Path]]) -> tuple[list[Path], np.ndarray]:
    paths = [path for files in by_class.values() for path in sorted(files)]
    sizes = [len(files) for files in by_class.values()]
    return paths, np.repeat(np.arange(len(sizes)), sizes)

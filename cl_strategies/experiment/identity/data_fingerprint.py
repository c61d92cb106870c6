"""A fingerprint of the data of a benchmark: sizes, all labels, and the content of a fixed sample.

It depends on what the data are, neither on where they lie nor on the order of the tasks, and not on
the last bits of a sum: numbers that stand for bytes (pixels divided by 255) count exactly, other
fractions by coarse projections. Pictures in files count by the bytes of the file, which every
machine reads alike; decoders differ. Of own images, which nobody has published, each one counts.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from avalanche.benchmarks.utils.flat_data import FlatData
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import TensorDataset

from cl_strategies.benchmarks.core.samples import LabeledFiles, TransformedTensors
from cl_strategies.io.bounded import read_regular
from cl_strategies.plugins.data.flatten import Branch, NotResident, flatten
from cl_strategies.plugins.data.store import generators_untouched

#: Samples of a stream that are looked at, and at least of each of its experiences.
_SAMPLES, _LEAST = 64, 2
#: Pixels of 8 bits over 255, and of 4 bits over 16 (scikit-learn's digits), are whole multiples of
#: one over this; so close to a whole number counts as one.
_STEPS, _CLOSE = 255 * 16, 0.02
_LARGEST = 1e12
#: Of fractions: projections of a sample, and steps of a projection per standard deviation. With
#: rounding errors of 1e-7 one in a million projections is near enough to a step to be uncertain.
#: The offset keeps fractions such as 1/2 off the steps.
_PROJECTIONS, _PER_DEVIATION, _OFFSET = 4, 8, 0.381966


def fingerprint(benchmark: Any, *, every: bool = False) -> str:
    """Return sixteen hexadecimal digits for the data of ``benchmark``; global generators are left
    alone.


    :param benchmark: with ``train_stream`` and ``test_stream``. Of an online one the whole
        experiences count: how they are cut is configuration.
    :param every: whether each sample is looked at, and not only some.
    """
    found = hashlib.sha256()
    whole = getattr(benchmark, "whole_stream", benchmark.train_stream)
    for name, stream in (("train", whole), ("test", benchmark.test_stream)):
        each = sys.maxsize if every else max(_LEAST, _SAMPLES // max(1, len(stream)))
        # Sorted: repetitions differ in the order of the tasks, and have the same data.
        for digest in sorted(_digest(stream[i].dataset, each) for i in range(len(stream))):
            found.update(f"{name} {digest};".encode())
        beside = [getattr(stream[i], "unlabeled", None) for i in range(len(stream))]
        for digest in sorted(_digest(images, each) for images in beside if images is not None):
            found.update(f"unlabeled {digest};".encode())
    return found.hexdigest()[:16]


def _digest(dataset: Any, samples: int) -> str:
    """Of one experience: how many samples, their labels, and the content of some."""
    digest = hashlib.sha256(f"{len(dataset)};".encode())
    digest.update(_content(_labels(getattr(dataset, "targets", ()))))
    known = _known_digests(dataset)
    if known is not None:
        digest.update(_content(known))
        return digest.hexdigest()
    count = min(samples, len(dataset))
    positions = [i * (len(dataset) - 1) // max(1, count - 1) for i in range(count)]
    try:
        with generators_untouched("it draws random numbers"):
            content = b"".join(list(_samples(dataset, positions)))
    except NotResident:  # such as augmentation in the data set itself: sizes and labels must do
        content = b"random"
    digest.update(content)
    return digest.hexdigest()


def _known_digests(dataset: Any) -> npt.NDArray[np.uint8] | None:
    """Return a digest (n, bytes) of every sample, if all of them come with one."""
    try:
        branches = flatten(dataset)
    except NotResident:
        return None
    found: list[Any] = [getattr(branch.leaf, "digests", None) for branch in branches]
    if not branches or any(digests is None for digests in found):
        return None
    rows = [digests[branch.rows] for digests, branch in zip(found, branches, strict=True)]
    places = np.concatenate([branch.where for branch in branches])
    known: npt.NDArray[np.uint8] = np.concatenate(rows)[np.argsort(places)]
    return known


def _labels(targets: Any) -> npt.NDArray[Any]:
    """Return all labels; those of an Avalanche attribute without asking it for one after the
    other."""
    values = getattr(targets, "data", None)
    if not isinstance(values, FlatData):
        return np.asarray(targets if isinstance(targets, Tensor | np.ndarray) else list(targets))
    found: list[npt.NDArray[Any]] = []
    order: list[npt.NDArray[np.int64]] = []
    for branch in flatten(values):
        leaf = branch.leaf
        known = np.asarray(leaf if isinstance(leaf, list | Tensor | np.ndarray) else list(leaf))
        found.append(known[branch.rows])
        order.append(branch.where)
    return np.concatenate(found)[np.argsort(np.concatenate(order))] if found else np.empty(0)


def _samples(dataset: Any, positions: list[int]) -> Iterator[bytes]:
    """Return the samples at ``positions`` before any transform, which is configuration or code."""
    try:
        branches = flatten(dataset)
    except NotResident:
        everything = np.arange(len(dataset), dtype=np.int64)
        branches = [Branch(dataset, everything, everything, ())]
    found = {}
    for branch in branches:
        chosen = np.isin(branch.where, positions)
        for position, row in zip(branch.where[chosen], branch.rows[chosen], strict=True):
            found[int(position)] = (branch.leaf, int(row))
    for position in sorted(found):
        yield _sample(*found[position])


def _sample(leaf: Any, row: int) -> bytes:
    if isinstance(leaf, TransformedTensors):
        return _content(leaf.before_transform(row))
    if isinstance(leaf, TensorDataset):
        return _content(leaf.tensors[0][row])
    if (path := _file(leaf, row)) is not None:
        try:
            return hashlib.sha256(read_regular(path)).digest()
        except OSError:
            pass  # reading the sample itself says it better
    sample = leaf[row]
    return _content(sample[0] if isinstance(sample, tuple | list) and sample else sample)


def _file(leaf: Any, row: int) -> Path | None:
    """Return the file of a sample of this package's, or of torchvision's folders of pictures."""
    if isinstance(leaf, LabeledFiles):
        return Path(leaf.paths[row])
    entries = getattr(leaf, "samples", None)
    if not isinstance(entries, list) or not isinstance(entries[row], tuple):
        return None
    path = entries[row][0]
    return Path(path) if isinstance(path, str | Path) and Path(path).is_file() else None


def _content(value: Any) -> bytes:
    """Return ``value`` as bytes that are the same on every machine."""
    if isinstance(value, Image):
        return value.mode.encode() + _content(np.asarray(value))
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, str | bytes | bool | int | None):
        return repr(value).encode()
    if isinstance(value, float):
        return _array(np.array(value))
    if isinstance(value, Mapping):
        return b"{" + b",".join(_content(pair) for pair in sorted(value.items(), key=str)) + b"}"
    if isinstance(value, tuple | list):
        return b"(" + b",".join(map(_content, value)) + b")"
    return type(value).__name__.encode()


def _array(array: npt.NDArray[Any]) -> bytes:
    shape = repr(array.shape).encode()
    if array.dtype.kind in "biu":
        return shape + hashlib.sha256(array.astype(np.int64).tobytes()).digest()
    if array.dtype.kind != "f":
        return shape + _content(array.ravel().tolist())
    numbers = np.nan_to_num(array.astype(np.float64), nan=-1.0, posinf=_LARGEST, neginf=-_LARGEST)
    steps = numbers.clip(-_LARGEST, _LARGEST).ravel() * _STEPS
    whole = np.rint(steps)
    if (np.abs(steps - whole) < _CLOSE).all():
        return shape + hashlib.sha256(whole.astype(np.int64).tobytes()).digest()
    return shape + _coarse(steps).tobytes()


def _coarse(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Size, mean and projections of ``numbers`` (n,) in steps far larger than rounding errors."""
    size = float(np.sqrt(np.mean(numbers**2)))
    mean = float(numbers.mean())
    deviation = max(float(numbers.std()), 1e-3 * size)
    projected = _signs(len(numbers)) @ (numbers - mean) / np.sqrt(len(numbers))
    values = np.array([np.log2(size), mean / deviation, *(projected / deviation)])
    return np.floor(values * _PER_DEVIATION + _OFFSET).astype(np.int64)


@lru_cache(maxsize=4)
def _signs(length: int) -> npt.NDArray[np.float64]:
    """Fixed signs (projections, length)."""
    return np.random.RandomState(length).choice([-1.0, 1.0], size=(_PROJECTIONS, length))

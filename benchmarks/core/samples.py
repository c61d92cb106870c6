"""What a stream is cut from: labeled samples whose rows are chosen before anything is copied.

:meth:`Samples.dataset` makes the leaf data set of one experience. Leaves that hold tensors have
the attribute ``tensors`` (``x`` float32 of shape ``(N, C, H, W)``, ``y`` int64 of shape ``(N,)``),
so that whole batches can be sliced from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from cl_strategies.benchmarks.readers.size_limits import read_picture
from cl_strategies.errors import DataMissingError, UserError
from cl_strategies.validation.plain_data import shown


class Samples(Protocol):
    """Samples with the class ids of their data set.

    Where several samples were made from one picture, ``groups`` numbers the pictures, shape
    ``(N,)``: their samples are kept for training or held out together.

    Where it is known which part of an image shows its object, ``true_boxes(rows)`` is a sequence of
    boxes ``(h0, h1, w0, w1)``, half-open, in pixels of the image before its transforms.
    """

    labels: np.ndarray

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> Any:
        """Return the samples in ``rows`` with new ``labels``, as a data set of ``(x, int)``."""


class TensorSamples:
    """Images in memory.

    :param x: of shape ``(N, C, H, W)``: float32, or whatever ``transform`` makes float32 of.
    :param labels: ``(N,)`` class ids.
    :param transform: what turns a batch of images into the samples, such as a permutation of
        pixels; it is applied when samples are read, so that many tasks share one ``x``.
    :param groups: ``(N,)``, see :class:`Samples`.
    """

    def __init__(
        self,
        x: Tensor,
        labels: np.ndarray,
        transform: Callable[[Tensor], Tensor] | None = None,
        groups: np.ndarray | None = None,
    ) -> None:
        self.x = x
        self.labels = labels
        self.transform = transform
        self.groups = groups

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> TensorDataset:
        y = torch.from_numpy(labels.astype(np.int64))
        index = torch.from_numpy(rows)
        if self.transform is not None:
            return TransformedTensors(self.x, index, y, self.transform)
        return LabeledTensors(self.x[index], y)


class ImageSamples:
    """Images in memory that a transform turns into tensors.

    :param images: uint8 of shape ``(N, H, W, 3)``.
    :param labels: ``(N,)`` class ids.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images = images
        self.labels = labels

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> Dataset[tuple[Any, int]]:
        return LabeledImages(self.images[rows], labels.tolist())


class FileSamples:
    """Image files, read when a sample is.

    :param paths: one file per sample.
    :param labels: ``(N,)`` class ids.
    """

    def __init__(self, paths: Sequence[Path | str], labels: np.ndarray) -> None:
        self.paths = paths
        self.labels = labels

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> Dataset[tuple[Any, int]]:
        return LabeledFiles([self.paths[row] for row in rows], labels.tolist())


class ShiftedSamples:
    """The samples of ``source`` with larger class ids.

    :param by: what is added to each.
    """

    def __init__(self, source: Samples, by: int) -> None:
        self.source = source
        self.labels = source.labels + by

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> Any:
        return self.source.dataset(rows, labels)


class SomeSamples:
    """The samples of ``source`` in ``rows``, ``(n,)``."""

    def __init__(self, source: Samples, rows: np.ndarray) -> None:
        self.source = source
        self.rows = rows
        self.labels = source.labels[rows]

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> Any:
        return self.source.dataset(self.rows[rows], labels)


class DatasetSamples:
    """Any data set with ``targets``, an Avalanche data set with its transforms included."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.labels = class_ids(source.targets)

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> Any:
        if not hasattr(self.source, "with_transforms"):
            return Relabeled(self.source, rows.tolist(), labels.tolist())
        subset = self.source.subset(rows.tolist())
        old = self.labels[rows]
        if np.array_equal(old, labels) and isinstance(subset[0][1], int):
            return subset
        relabel = _Relabel(dict(zip(old.tolist(), labels.tolist(), strict=True)))
        groups = {group: (None, relabel) for group in ("train", "eval")}
        return type(self.source)([subset], transform_groups=groups)


class _Relabel:
    """A target transform; the result is an int, which is what Avalanche's buffers hold."""

    deterministic = True  # so that data may stay in memory (plugins.data.transforms)

    def __init__(self, label_of: dict[int, int]) -> None:
        self.label_of = label_of

    def __call__(self, label: Any) -> int:
        return self.label_of[int(label)]


class LabeledTensors(TensorDataset):
    """``(x, y)`` in memory; a label is read as an int."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:  # type: ignore[override]
        x, y = self.tensors
        return x[index], int(y[index])

    def __len__(self) -> int:
        return len(self.tensors[1])


class TransformedTensors(LabeledTensors):
    """Rows of a shared ``x`` seen through ``transform``."""

    def __init__(
        self, x: Tensor, rows: Tensor, y: Tensor, transform: Callable[[Tensor], Tensor]
    ) -> None:
        self._x, self._rows, self._y, self._transform = x, rows, y, transform

    @property
    def tensors(self) -> tuple[Tensor, ...]:  # type: ignore[override]
        """All samples at once; computed anew whenever it is read."""
        return self._transform(self._x[self._rows]), self._y

    def before_transform(self, index: int) -> Tensor:
        """Return the image ``(C, H, W)`` that sample ``index`` is made from."""
        return self._x[int(self._rows[index])]

    def __getitem__(self, index: int) -> tuple[Tensor, int]:  # type: ignore[override]
        row = int(self._rows[index])
        return self._transform(self._x[row : row + 1])[0], int(self._y[index])

    def __len__(self) -> int:
        return len(self._y)


class LabeledImages(Dataset[tuple[Any, int]]):
    """Pillow images out of one array.

    :param data: uint8 of shape ``(N, H, W, 3)``.
    """

    def __init__(self, data: np.ndarray, targets: list[int]) -> None:
        self.data = data
        self.targets = targets

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return Image.fromarray(self.data[index]), self.targets[index]

    def __len__(self) -> int:
        return len(self.targets)


class LabeledFiles(Dataset[tuple[Any, int]]):
    """Pillow images out of files."""

    def __init__(self, paths: list[Path | str], targets: list[int]) -> None:
        self.paths = paths
        self.targets = targets

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path = Path(self.paths[index])
        try:
            return read_picture(path, "RGB"), self.targets[index]
        except OSError as error:
            raise DataMissingError(
                f"{path} is not a readable image ({error}): fetch it again"
            ) from error

    def __len__(self) -> int:
        return len(self.targets)


class Relabeled(Dataset[tuple[Any, int]]):
    """Some rows of a data set with other labels."""

    def __init__(self, source: Any, rows: list[int], targets: list[int]) -> None:
        self.source = source
        self.rows = rows
        self.targets = targets

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.source[self.rows[index]][0], self.targets[index]

    def __len__(self) -> int:
        return len(self.targets)


def class_ids(labels: Any) -> np.ndarray:
    """Return ``labels`` as int64, ``(N,)``.

    :param labels: whole numbers, in any sequence.
    :raises UserError: for names, fractions and anything else that is no class id.
    """
    ids = [
        label.item() if np.size(label) == 1 and hasattr(label, "item") else label
        for label in labels
    ]
    found = np.asarray(ids)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iub"):
        shown_label = shown(next(iter(found.ravel().tolist()), None))
        raise UserError(
            f"the labels hold {shown_label}, which is not a class id: give whole numbers from 0 "
            "up, for instance the position of each name in a sorted list of the names (and the "
            "list as class_names)"
        )
    return found.astype(np.int64)


def as_samples(piece: Any) -> Samples:
    """Return ``piece`` as :class:`Samples`.

    :param piece: :class:`Samples`, a pair ``(x, y)`` of tensors, or a data set with ``targets``.
    :raises UserError: for anything else.
    """
    if hasattr(piece, "labels") and hasattr(piece, "dataset"):
        result: Samples = piece
        return result
    if isinstance(piece, tuple) and len(piece) == 2:
        x, y = torch.as_tensor(piece[0]), piece[1]
        y = y if isinstance(y, Tensor) else torch.from_numpy(class_ids(y))
        if y.ndim != 1 or len(x) != len(y) or y.is_floating_point():
            raise UserError(
                f"a pair (x, y) needs one integer label per sample: x has shape {tuple(x.shape)}, "
                f"y has shape {tuple(y.shape)} and type {y.dtype}"
            )
        if not x.is_floating_point():
            raise UserError(f"x is of type {x.dtype}: give floating-point images")
        return TensorSamples(x, y.numpy().astype(np.int64))
    if hasattr(piece, "targets"):
        return DatasetSamples(piece)
    raise UserError(
        f"cannot read samples from a {type(piece).__name__}: give a pair (x, y) of tensors "
        "or a data set with the attribute targets"
    )

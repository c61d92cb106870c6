"""What data come as in Python: arrays, data sets of torch and Hugging Face, data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cl_strategies.benchmarks.core.samples import Relabeled, TensorSamples
from cl_strategies.benchmarks.own.labeled import Labeled, labeled_items, labeled_table
from cl_strategies.benchmarks.own.labels import Ids, as_names
from cl_strategies.benchmarks.own.options import ColumnOptions, PictureOptions
from cl_strategies.benchmarks.own.sources import ItemSource, is_image
from cl_strategies.benchmarks.readers.picture_tables import IMAGES, LABELS, PictureTable
from cl_strategies.errors import UserError

_ALL = "give a pair (x, y) of arrays, a data set of torch or Hugging Face, or a DataFrame"


def labeled(
    data: Any,
    options: PictureOptions,
    columns: ColumnOptions,
    folder: str | Path | None,
    what: str,
) -> Labeled:
    """Return ``data`` as samples with labels.

    :param folder: that the paths of a table count from; ``None``: the current one.
    :param what: what messages call the data.
    :raises UserError: for anything that holds no samples with labels.
    """
    if isinstance(data, tuple) and len(data) == 2:
        return _of_arrays(data[0], data[1], options, what)
    if hasattr(data, "iloc") and hasattr(data, "columns"):
        table = PictureTable({str(name): list(data[name]) for name in data.columns}, what)
        return labeled_table(table, options, columns, Path(folder or "."), confined=False)
    if hasattr(data, "column_names") and hasattr(data, "features"):
        return _of_hugging_face(data, options, columns, what)
    if isinstance(data, (str, Path)):
        raise UserError(
            f"{what} is the path {str(data)!r}: use image_folder(path=...) for a folder of "
            "images, image_table(path=...) for a table of files"
        )
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, Mapping):
        return _of_dataset(data, options, what)
    raise UserError(f"{what} is a {type(data).__name__}: {_ALL}")


def split_of(data: Any, test: Any) -> tuple[Any, Any]:
    """Return training and test data; a mapping such as Hugging Face's ``DatasetDict`` has both.

    :raises UserError: for a mapping without training data.
    """
    if hasattr(data, "dtype") and hasattr(test, "dtype"):
        raise UserError("data and test are two arrays: give a pair (x, y) as data, or two pairs")
    if not isinstance(data, Mapping):
        return data, test
    if "train" not in data:
        raise UserError(f"the data have the parts {sorted(map(str, data))}, none called train")
    parts = [name for name in ("test", "validation", "val", "valid") if name in data]
    return data["train"], data[parts[0]] if test is None and parts else test


def _of_arrays(x: Any, y: Any, options: PictureOptions, what: str) -> Labeled:
    def where(row: int) -> str:
        return f"{what}, row {row}"

    labels = as_names(y, where)
    array = x if isinstance(x, Tensor) else torch.from_numpy(np.ascontiguousarray(x))
    if array.ndim < 2 or len(array) != len(labels):
        raise UserError(
            f"{what}: x has the shape {tuple(array.shape)}, and there are {len(labels)} labels: "
            "give one row of x for each"
        )
    if array.dtype == torch.uint8 and array.ndim > 2:
        images = _channels_last(array).numpy()
        source = ItemSource(images.__getitem__, len(images), f"{what}, row")
        return labeled_items(source, labels, options, what=what)
    if not array.is_floating_point():
        raise UserError(
            f"{what}: x is of type {array.dtype}: give uint8 images, or floating-point numbers"
        )
    bad = (~torch.isfinite(array.flatten(1))).any(dim=1).nonzero()
    if len(bad):
        raise UserError(f"{where(int(bad[0]))} is not finite: replace it or take it out")
    refuse_picture_options(options, what)
    x = _channels_first(array.float())
    return Labeled(
        make=lambda rows, ids: TensorSamples(x[torch.from_numpy(rows)], ids),
        labels=labels,
        where=where,
        what=what,
        rows=np.arange(len(labels)),
        are_pictures=False,
    )


def _of_dataset(data: Any, options: PictureOptions, what: str) -> Labeled:
    source = ItemSource(partial(_first, data), len(data), f"{what}, sample")
    if not len(data):
        raise UserError(f"{what} has no samples")
    labels = as_names(_labels_of(data, what), source.name)
    if len(labels) != len(data):
        raise UserError(f"{what} has {len(data)} samples and {len(labels)} labels")
    names = getattr(data, "classes", None)
    marks: dict[str, Any] = {"names": _ordered_names(names, labels), "what": what}
    if marks["names"]:
        labels = [str(marks["names"][int(label)]) for label in labels]
    first = _first(data, 0)
    if is_image(first):
        return labeled_items(source, labels, options, **marks)
    if not isinstance(first, Tensor) or not first.is_floating_point():
        raise UserError(
            f"{source.name(0)} is a {type(first).__name__}: its first element must be a Pillow "
            "image, an array of uint8, or a tensor of floating-point numbers; give the data set a "
            "transform that makes one"
        )
    refuse_picture_options(options, what)
    return Labeled(
        make=partial(_DatasetRows, data),
        labels=labels,
        where=source.name,
        rows=np.arange(len(labels)),
        are_pictures=False,
        **marks,
    )


def _of_hugging_face(
    data: Any, options: PictureOptions, columns: ColumnOptions, what: str
) -> Labeled:
    table = PictureTable(dict.fromkeys(data.column_names, ()), what)
    for option, usual in (("image_column", IMAGES), ("label_column", LABELS)):
        table.needed(columns[option], usual, option)  # type: ignore[literal-required]
    images = columns["image_column"] or next(n for n in IMAGES if n in table.columns)
    labels = columns["label_column"] or next(n for n in LABELS if n in table.columns)
    known = getattr(data.features[labels], "names", None)
    found = as_names(data[labels], table.where)
    names = _ordered_names(known, found)
    if names:
        found = [names[int(label)] for label in found]
    source = ItemSource(partial(_cell, data, images), len(data), f"{what}, row")
    return labeled_items(source, found, options, what=what, names=names)


class _DatasetRows:
    """Rows of a data set with their class ids; its own transforms stay what they are."""

    def __init__(self, data: Any, rows: Ids, labels: Ids) -> None:
        self.data, self.rows, self.labels = data, rows, labels

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> Relabeled:
        return Relabeled(self.data, self.rows[rows].tolist(), labels.tolist())


def refuse_picture_options(options: PictureOptions, what: str) -> None:
    """:raises UserError: if an option for images is given, and the data are numbers."""
    given = [
        name
        for name in ("image_size", "mean", "std")
        if options[name] is not None  # type: ignore[literal-required]
    ]
    given += ["augmentation"] if options["augmentation"] != "none" else []
    given += ["color"] if options["color"] != "rgb" else []
    if given:
        raise UserError(
            f"{', '.join(given)}: {what} holds floating-point numbers, which stay as they are; "
            "give uint8 images, or transforms of your own"
        )


def _labels_of(data: Any, what: str) -> Sequence[Any]:
    for name in ("targets", "labels"):
        if hasattr(data, name):
            found: Sequence[Any] = getattr(data, name)
            return found
    if hasattr(data, "tensors"):
        tensors: Sequence[Any] = data.tensors
        return tensors[1]
    try:
        return [data[row][1] for row in range(len(data))]
    except (IndexError, KeyError, TypeError) as error:
        raise UserError(
            f"{what} has neither targets nor samples (x, label): give it the attribute targets, "
            "one label for each sample"
        ) from error


def _ordered_names(names: Any, labels: Sequence[str]) -> tuple[str, ...] | None:
    """Return names by class id, if labels are ids of them and each of them occurs."""
    if not isinstance(names, Sequence) or isinstance(names, str):
        return None
    return tuple(map(str, names)) if {*labels} == {*map(str, range(len(names)))} else None


def _first(data: Any, row: int) -> Any:
    return data[row][0]


def _cell(data: Any, column: str, row: int) -> Any:
    return data[row][column]


def _channels_first(x: Tensor) -> Tensor:
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        return x.permute(0, 3, 1, 2).contiguous()
    return x


def _channels_last(x: Tensor) -> Tensor:
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3):
        return x.permute(0, 2, 3, 1).contiguous()
    return x

"""Accuracy on single classes, and which classes are taken for which."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.matrix.inputs import Matrix
from cl_strategies.plugins.metrics.functional.samples import as_classes


def confusion_matrix(
    labels: Any, predictions: Any, n_classes: int | None = None
) -> npt.NDArray[np.int64]:
    """Count samples by label (rows) and prediction (columns), as a table (C, C).

    :param labels: classes (n,).
    :param predictions: classes (n,).
    :param n_classes: number of classes ``C``; one more than the largest index if left out.
    :raises UserError: for something else, different lengths, or a class of ``n_classes`` or more.
    """
    y = as_classes(labels, "labels")
    p = as_classes(predictions, "predictions", len(y))
    found = int(max(y.max(initial=-1), p.max(initial=-1))) + 1
    size = found if n_classes is None else n_classes
    if found > size:
        raise UserError(f"there are {size} classes, but a sample has class {found - 1}")
    return np.bincount(y * size + p, minlength=size * size).reshape(size, size)


def class_accuracy(labels: Any, predictions: Any, n_classes: int | None = None) -> Matrix:
    """Compute the accuracy on the samples of each class (C,). Higher is better.

    NaN for a class without samples.

    :param labels: classes (n,).
    :param predictions: classes (n,).
    :param n_classes: number of classes ``C``; one more than the largest index if left out.
    :raises UserError: see :func:`confusion_matrix`.
    """
    table = confusion_matrix(labels, predictions, n_classes)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diagonal(table) / table.sum(axis=1))


def mean_class_accuracy(labels: Any, predictions: Any) -> float:
    """Compute the mean of :func:`class_accuracy` over the classes that have samples.

    Balanced accuracy: every class counts the same, however many samples it has. Higher is better;
    NaN without samples.

    :param labels: classes (n,).
    :param predictions: classes (n,).
    :raises UserError: see :func:`confusion_matrix`.
    """
    values = class_accuracy(labels, predictions)
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")

"""Labels, predictions and class indices of samples, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError

Classes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def as_classes(values: Any, name: str, length: int | None = None, *, gaps: bool = False) -> Classes:
    """Return a vector of class indices.

    :param values: list, numpy array or torch tensor of integers.
    :param name: what to call ``values`` in messages.
    :param length: how many there must be, if it is known.
    :param gaps: whether -1 is allowed, for "none".
    :raises UserError: if it is something else.
    """
    array = _vector(values)
    whole = array is not None and (array.size == 0 or array.dtype.kind in "iub")
    if array is not None and array.dtype.kind == "f":
        whole = bool((array == np.round(array)).all())
    lowest = -1 if gaps else 0
    if array is None or not whole or (array.size and array.min() < lowest):
        raise UserError(f"{name} must be a list of class indices, {lowest} or more")
    if length is not None and len(array) != length:
        raise UserError(f"{name} must have {length} entries, one for each sample; got {len(array)}")
    return np.asarray(array, dtype=np.int64)


def as_flags(values: Any, name: str, length: int | None = None) -> Flags:
    """Return a vector of booleans.

    :param values: list, numpy array or torch tensor of booleans, or of 0 and 1.
    :param name: what to call ``values`` in messages.
    :param length: how many there must be, if it is known.
    :raises UserError: if it is something else.
    """
    array = _vector(values)
    if array is None or array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise UserError(f"{name} must be a list of booleans")
    if length is not None and len(array) != length:
        raise UserError(f"{name} must have {length} entries, one for each sample; got {len(array)}")
    return np.asarray(array, dtype=np.bool_)


def tasks_of(classes: Classes, task_of_class: Any, name: str) -> Classes:
    """Return the task of each of ``classes``.

    :param task_of_class: task of each class, by class index; -1 for a class of no task.
    :param name: what to call ``classes`` in messages.
    :raises UserError: for a class beyond the table.
    """
    table = as_classes(task_of_class, "task_of_class", gaps=True)
    if len(classes) and classes.max() >= len(table):
        raise UserError(
            f"{name} has class {classes.max()}, but task_of_class has the tasks of {len(table)} "
            f"classes: give a task for every class, by class index"
        )
    return table[classes]


def _vector(values: Any) -> npt.NDArray[Any] | None:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values)
    except ValueError:
        return None
    return array if array.ndim == 1 and array.dtype.kind in "biuf" else None

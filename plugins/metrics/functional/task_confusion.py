"""Errors of class-incremental learning, divided into those within a task and between tasks.

Undefined for domain-incremental streams, where tasks share classes, and without a between for
task-incremental ones, where the task is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.samples import (
    Classes,
    Flags,
    as_classes,
    as_flags,
    tasks_of,
)


@dataclass(frozen=True)
class TaskConfusion:
    """Shares of samples, NaN without samples; those with "task-aware" also if it is not known.

    :ivar accuracy: right.
    :ivar within_task_error: wrong class of the right task; lower is better.
    :ivar inter_task_error: class of a wrong task; lower is better. The three sum to 1.
    :ivar task_prediction: class of the right task.
    :ivar within_task_prediction: right among those of the right task; NaN if there are none. The
        two multiply to the accuracy: an empirical counterpart of Kim et al., "A Theoretical Study
        on Solving Continual Learning", NeurIPS 2022, which is about probabilities.
    :ivar task_aware_accuracy: right when told the task.
    :ivar task_confusion_cost: task-aware accuracy minus accuracy; lower is better.
    :ivar pure_task_confusion: class of a wrong task, and right when told the task.
    :ivar both_errors: class of a wrong task, and wrong also when told the task.
    :ivar task_aware_violations: samples that are right and wrong when told the task: 0 where the
        same logits are compared, otherwise a fault.
    """

    accuracy: float
    within_task_error: float
    inter_task_error: float
    task_prediction: float
    within_task_prediction: float
    task_aware_accuracy: float
    task_confusion_cost: float
    pure_task_confusion: float
    both_errors: float
    task_aware_violations: int


def task_confusion_errors(
    labels: Any, predictions: Any, task_of_class: Any, *, task_aware: Any = None
) -> TaskConfusion:
    """Divide errors into those within a task and between tasks.

    :param labels: classes (n,).
    :param predictions: classes (n,), predicted among those seen so far.
    :param task_of_class: task of each class, by class index.
    :param task_aware: classes (n,), predicted among those of the sample's own task; or booleans
        (n,), whether those are right.
    :raises UserError: for something else, different lengths, or classes beyond the table.
    """
    y = as_classes(labels, "labels")
    p = as_classes(predictions, "predictions", len(y))
    right_task = tasks_of(y, task_of_class, "labels") == tasks_of(p, task_of_class, "predictions")
    right = y == p
    told = None if task_aware is None else _task_aware(task_aware, y)
    accuracy, task_prediction = _share(right), _share(right_task)
    aware = float("nan") if told is None else _share(told)
    return TaskConfusion(
        accuracy=accuracy,
        within_task_error=_share(right_task & ~right),
        inter_task_error=_share(~right_task),
        task_prediction=task_prediction,
        within_task_prediction=_share(right[right_task]),
        task_aware_accuracy=aware,
        task_confusion_cost=aware - accuracy,
        pure_task_confusion=float("nan") if told is None else _share(~right_task & told),
        both_errors=float("nan") if told is None else _share(~right_task & ~told),
        task_aware_violations=0 if told is None else int((right & ~told).sum()),
    )


def task_confusion_matrix(
    labels: Any, predictions: Any, task_of_class: Any
) -> npt.NDArray[np.int64]:
    """Count samples by the task of their label and that of their prediction (T, T).

    :param labels: classes (n,).
    :param predictions: classes (n,).
    :param task_of_class: task of each class, by class index; every class of a sample needs one.
    :raises UserError: for something else, different lengths, or classes without a task.
    """
    y = as_classes(labels, "labels")
    p = as_classes(predictions, "predictions", len(y))
    table = as_classes(task_of_class, "task_of_class", gaps=True)
    rows, columns = tasks_of(y, table, "labels"), tasks_of(p, table, "predictions")
    if (rows < 0).any() or (columns < 0).any():
        raise UserError("task_of_class must have a task, not -1, for every class of a sample")
    tasks = int(table.max(initial=-1)) + 1
    return np.bincount(rows * tasks + columns, minlength=tasks * tasks).reshape(tasks, tasks)


def _task_aware(values: Any, labels: Classes) -> Flags:
    if str(getattr(values, "dtype", "")).endswith("bool") or (
        len(values) > 0 and isinstance(values[0], bool)
    ):
        return as_flags(values, "task_aware", len(labels))
    return np.asarray(as_classes(values, "task_aware", len(labels)) == labels)


def _share(values: Flags) -> float:
    return float(values.mean()) if len(values) else float("nan")

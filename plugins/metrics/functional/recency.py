"""Recency bias: predictions lean to the classes of the last task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.matrix.inputs import Matrix, as_vector
from cl_strategies.plugins.metrics.functional.samples import Classes, Flags, as_classes, tasks_of


@dataclass(frozen=True)
class Recency:
    """Shares of samples; NaN where there are none to share.

    :ivar share_predicted_last_task: predicted as a class of the last task.
    :ivar recency_bias: that minus the share that is of the last task; 0 is best.
    :ivar old_samples_to_last_task: samples of older tasks predicted as a class of the last one;
        lower is better.
    :ivar share_of_inter_task_errors_to_last: errors between tasks that go to the last one; errors
        at random give 1 / (T - 1).
    """

    share_predicted_last_task: float
    recency_bias: float
    old_samples_to_last_task: float
    share_of_inter_task_errors_to_last: float


def recency_shares(
    labels: Any, predictions: Any, task_of_class: Any, *, last: int | None = None
) -> Recency:
    """Measure how much predictions lean to the classes of the last task.

    :param labels: classes (n,).
    :param predictions: classes (n,), predicted among those seen so far.
    :param task_of_class: task of each class, by class index.
    :param last: the last task; the largest one of the labels if left out.
    :raises UserError: for something else, different lengths, or classes beyond the table.
    """
    y = as_classes(labels, "labels")
    p = as_classes(predictions, "predictions", len(y))
    own = tasks_of(y, task_of_class, "labels")
    predicted = tasks_of(p, task_of_class, "predictions")
    newest = int(own.max(initial=-1)) if last is None else last
    to_last = predicted == newest
    return Recency(
        share_predicted_last_task=_share(to_last),
        recency_bias=_share(to_last) - _share(own == newest),
        old_samples_to_last_task=_share(to_last[own != newest]),
        share_of_inter_task_errors_to_last=_share(to_last[predicted != own]),
    )


def recency_logit_gap(
    logits: Any, labels: Any, task_of_class: Any, *, last: int | None = None
) -> float:
    """Compute how much larger logits of the last task's classes are than those of the own task.

    The mean over samples of older tasks of (mean logit of the last task's classes - mean logit of
    their own task's). 0 means no lean; NaN without samples of older tasks.

    :param logits: logits (n, C).
    :param labels: classes (n,).
    :param task_of_class: task of each class, by class index (C,).
    :param last: the last task; the largest one of the labels if left out.
    :raises UserError: for other shapes or classes beyond the table.
    """
    y = as_classes(labels, "labels")
    values = logits.detach().cpu().numpy() if hasattr(logits, "detach") else logits
    table = np.asarray(values, dtype=np.float64)
    tasks = as_classes(task_of_class, "task_of_class", gaps=True)
    if table.ndim != 2 or table.shape != (len(y), len(tasks)):
        raise UserError(
            f"logits must have a row for each of {len(y)} samples and a column for each of "
            f"{len(tasks)} classes; got shape {table.shape}"
        )
    own = tasks_of(y, tasks, "labels")
    newest = int(own.max(initial=-1)) if last is None else last
    gaps = [
        table[own == task][:, tasks == newest].mean(axis=1)
        - table[own == task][:, tasks == task].mean(axis=1)
        for task in np.unique(own[own != newest])
    ]
    return float(np.concatenate(gaps).mean()) if gaps and (tasks == newest).any() else float("nan")


def recency_weight_ratio(norms: Any, task_of_class: Any, *, last: int | None = None) -> float:
    """Compute the mean norm of the classifier's rows of the last task over that of older ones.

    1 means no lean; NaN without an older task or if its rows are 0.

    :param norms: norm of the classifier's row of each class (C,).
    :param task_of_class: task of each class, by class index (C,); -1 for classes not seen yet.
    :param last: the last task; the largest one of ``task_of_class`` if left out.
    :raises UserError: if the lengths differ.
    """
    rows = as_vector(norms, "norms")
    tasks: Classes = as_classes(task_of_class, "task_of_class", len(rows), gaps=True)
    newest = int(tasks.max(initial=-1)) if last is None else last
    new, old = _mean(rows[tasks == newest]), _mean(rows[(tasks != newest) & (tasks >= 0)])
    return float("nan") if old == 0 else new / old


def _share(values: Flags) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _mean(values: Matrix) -> float:
    return float(values.mean()) if len(values) else float("nan")

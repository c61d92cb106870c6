"""From stored predictions to counts, matrices and every metric that follows from them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.accuracy_matrix import matrix_metrics
from cl_strategies.plugins.metrics.functional.calibration import (
    brier_top_label,
    expected_calibration_error,
    overconfidence,
)
from cl_strategies.plugins.metrics.functional.matrix.inputs import Matrix
from cl_strategies.plugins.metrics.functional.per_class import mean_class_accuracy
from cl_strategies.plugins.metrics.functional.recency import recency_shares
from cl_strategies.plugins.metrics.functional.samples import Classes, as_classes
from cl_strategies.plugins.metrics.functional.task_confusion import (
    TaskConfusion,
    task_confusion_errors,
)

Counts = npt.NDArray[np.int64]


def counts_from_predictions(
    labels: Any, experience_of_sample: Any, predictions_after_experience: Any
) -> tuple[Counts, Counts]:
    """Count right predictions and samples, by row and test experience, as two tables (T, N).

    :param labels: classes (n,).
    :param experience_of_sample: test experience of each sample (n,), by position in the order of
        training.
    :param predictions_after_experience: classes (T, n) predicted after each training experience; -1
        or ``None`` for samples that were not evaluated, which are all or none of a test experience.
    :raises UserError: for other shapes or values.
    """
    y = as_classes(labels, "labels")
    rows, experiences = (
        _rows(predictions_after_experience, len(y)),
        _experiences(experience_of_sample, y),
    )
    columns = int(experiences.max(initial=-1)) + 1
    correct, evaluated = (
        np.array([np.bincount(experiences[some], minlength=columns) for some in which])
        for which in (rows == y, rows >= 0)
    )
    totals = np.bincount(experiences, minlength=columns)
    if ((evaluated != 0) & (evaluated != totals)).any():
        raise UserError(
            "the predictions of a row must cover all or none of the samples of a test experience: "
            "give -1 for every sample of an experience that was not evaluated"
        )
    return correct, evaluated


def accuracy_from_counts(correct: Any, totals: Any) -> Matrix:
    """Divide counts; NaN where there are no samples.

    :param correct: right predictions (T, N).
    :param totals: samples (T, N) or (N,).
    :raises UserError: if more are right than there are.
    """
    right, samples = np.asarray(correct, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    if (right > samples).any() or (right < 0).any():
        raise UserError("counts of right predictions must be between 0 and the number of samples")
    with np.errstate(invalid="ignore"):
        return np.asarray(right / samples)


def records_to_metrics(
    labels: Any,
    experience_of_sample: Any,
    predictions_after_experience: Any,
    task_of_class: Any = None,
    *,
    task_aware: Any = None,
    confidence: Any = None,
    bins: int = 15,
    **references: Any,
) -> dict[str, Any]:
    """Compute every metric that follows from the predictions of a run.

    What is not of the matrix is about the last row and the test samples of experiences trained by
    then. Undefined values are NaN; so is what needs an argument that was left out.

    :param labels: classes (n,).
    :param experience_of_sample: test experience of each sample (n,), by position in the order of
        training.
    :param predictions_after_experience: classes (T, n) predicted after each training experience,
        -1 or ``None`` where not evaluated.
    :param task_of_class: for class-incremental streams the task of each class, by class index,
        numbered as the test experiences.
    :param task_aware: classes (n,) predicted in the last row among those of the own task, or
        booleans.
    :param confidence: confidences (n,) of the predictions of the last row.
    :param bins: number of bins of the calibration error.
    :param references: ``initial``, ``isolated``, ``setting``... of :func:`matrix_metrics`; the
        setting of class-incremental streams is ``"class_masked"`` if left out.
    :return: ``correct_counts`` (T, N), ``totals`` (N,), the matrix ``A``, the metrics of
        :func:`matrix_metrics`, :class:`TaskConfusion`, :class:`Recency` and calibration by key.
    :raises UserError: for other shapes or values.
    """
    y = as_classes(labels, "labels")
    rows, experiences = (
        _rows(predictions_after_experience, len(y)),
        _experiences(experience_of_sample, y),
    )
    correct, evaluated = counts_from_predictions(y, experiences, rows)
    totals = np.bincount(experiences)
    matrix = accuracy_from_counts(correct, evaluated)
    seen = experiences < len(rows)
    final = rows[-1][seen]
    known = bool((final >= 0).all()) and len(final) > 0
    found: dict[str, Any] = {"correct_counts": correct, "totals": totals, "A": matrix}
    if task_of_class is not None:
        references = {"setting": "class_masked"} | references
    found |= matrix_metrics(matrix, sizes=totals.tolist(), **references)
    found["final_accuracy_pooled"] = float((final == y[seen]).mean()) if known else float("nan")
    found["mean_class_accuracy"] = mean_class_accuracy(y[seen], final) if known else float("nan")
    divided = known and task_of_class is not None
    told = None if task_aware is None or not divided else np.asarray(task_aware)[seen]
    none = np.zeros(0, dtype=np.int64)
    labels_seen, final_seen = (y[seen], final) if divided else (none, none)
    tasks = task_of_class if divided else none
    confusion = task_confusion_errors(labels_seen, final_seen, tasks, task_aware=told)
    found |= {f"final_{key}": value for key, value in _shares(confusion, divided).items()}
    found |= asdict(recency_shares(labels_seen, final_seen, tasks, last=len(rows) - 1))
    found["recency_bias_after_row"] = _recency_curve(y, experiences, rows, task_of_class)
    return found | _calibration(y, experiences, rows, confidence if known else None, bins)


def _shares(confusion: TaskConfusion, divided: bool) -> dict[str, Any]:
    shares = asdict(confusion)
    del shares["accuracy"]  # final_accuracy_pooled
    return shares if divided else shares | {"task_aware_violations": float("nan")}


def _recency_curve(y: Classes, experiences: Classes, rows: Classes, tasks: Any) -> Matrix:
    curve = np.full(len(rows), np.nan)
    for t, row in enumerate(rows if tasks is not None else []):
        seen = experiences <= t
        if seen.any() and (row[seen] >= 0).all():
            curve[t] = recency_shares(y[seen], row[seen], tasks, last=t).recency_bias
    return curve


def _calibration(
    y: Classes, experiences: Classes, rows: Classes, confidence: Any, bins: int
) -> dict[str, float]:
    newest = len(rows) - 1
    c = np.full(len(y), np.nan) if confidence is None else np.asarray(confidence, np.float64)
    if c.shape != y.shape:
        raise UserError(
            f"confidence must have {len(y)} entries, one for each sample; got {c.shape}"
        )
    measured = ~np.isnan(c)
    groups = {
        "": experiences <= newest,
        "_old": experiences < newest,
        "_new": experiences == newest,
    }
    found = {}
    for name, group in groups.items():
        some = group & measured if measured[group].all() else np.zeros(len(y), dtype=bool)
        right = (rows[-1] == y)[some]
        found[f"ece{name}"] = expected_calibration_error(c[some], right, bins)
        found[f"overconfidence{name}"] = overconfidence(c[some], right)
    whole = groups[""] if measured[groups[""]].all() else np.zeros(len(y), dtype=bool)
    found["brier_top_label"] = brier_top_label(c[whole], (rows[-1] == y)[whole])
    return found


def _rows(predictions: Any, samples: int) -> Classes:
    try:
        table = np.array(predictions, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.ndim != 2 or len(table) == 0 or table.shape[1] != samples:
        raise UserError(
            f"predictions_after_experience must have a row after each training experience and a "
            f"column for each of {samples} samples; got shape {table.shape}"
        )
    flat = np.where(np.isnan(table), -1, table).ravel()
    return as_classes(flat, "predictions_after_experience", gaps=True).reshape(table.shape)


def _experiences(values: Any, labels: Classes) -> Classes:
    return as_classes(values, "experience_of_sample", len(labels))

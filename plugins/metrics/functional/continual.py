"""Accuracies at points within training: minima, worst cases, windows.

De Lange, van de Ven and Tuytelaars, "Continual Evaluation for Lifelong Learning: Identifying the
Stability Gap", ICLR 2023. A trace ``points`` (M, N) has the accuracy on every test experience at
M evaluation points, NaN where not measured; ``last_points[i]`` is the last point while experience
``i`` was trained. ``at`` is the point after which a metric is asked for, the last one if left out.
A metric is a quantity of its schedule: store how many iterations lie between points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.matrix.inputs import Matrix, as_matrix


def as_trace(
    points: Any, last_points: Sequence[int], at: int | None = None
) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """Return the trace up to ``at``, and which experience was trained at each of its points.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience, ascending; later ones than ``at`` and that of
        an experience still being trained may be left out.
    :param at: a point; the last one if left out.
    :raises UserError: for a point that is not there, ends that do not ascend, or more experiences
        than columns.
    """
    trace = as_matrix(points)
    at = len(trace) - 1 if at is None else at
    ends = np.asarray(last_points)
    if not 0 <= at < len(trace):
        raise UserError(f"at must be one of the {len(trace)} points, from 0; got {at}")
    if ends.ndim != 1 or (len(ends) and ends.dtype.kind not in "iu") or (np.diff(ends) <= 0).any():
        raise UserError(
            f"last_points must be the last point of each experience, ascending; got {last_points}"
        )
    training = np.searchsorted(ends, np.arange(at + 1), side="left")
    if training[-1] >= trace.shape[1]:
        raise UserError(
            f"experience {training[-1]} was trained at point {at}, but the trace has "
            f"{trace.shape[1]} test experiences"
        )
    return trace[: at + 1], training


def min_per_old_experience(
    points: Any, last_points: Sequence[int], at: int | None = None
) -> Matrix:
    """Return the lowest accuracy on each old experience since its training ended.

    Its last point itself does not count, nor does the experience that is being trained.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :param at: a point; the last one if left out.
    :return: minima (k - 1,), with k the number of experiences begun.
    :raises UserError: see :func:`as_trace`.
    """
    trace, training = as_trace(points, last_points, at)
    return np.array([trace[training > i, i].min() for i in range(training[-1])])


def min_acc(points: Any, last_points: Sequence[int], at: int | None = None) -> float:
    """Compute the mean of :func:`min_per_old_experience`. Higher is better.

    De Lange et al., ICLR 2023. NaN while the first experience is trained, or if a point is missing.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :param at: a point; the last one if left out.
    :raises UserError: see :func:`as_trace`.
    """
    lowest = min_per_old_experience(points, last_points, at)
    return float(lowest.mean()) if len(lowest) else float("nan")


def wc_acc(points: Any, last_points: Sequence[int], at: int | None = None) -> float:
    """Compute the worst-case accuracy, ``A_k / k + (1 - 1/k) min_acc``. Higher is better.

    De Lange et al., ICLR 2023: ``k`` experiences have begun, ``A_k`` is the accuracy on the latest;
    with one it is that accuracy. NaN if a point is missing.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :param at: a point; the last one if left out.
    :raises UserError: see :func:`as_trace`.
    """
    trace, training = as_trace(points, last_points, at)
    k = int(training[-1]) + 1
    newest = float(trace[-1, k - 1])
    return newest if k == 1 else newest / k + (1 - 1 / k) * min_acc(points, last_points, at)


def anytime_seen(points: Any, last_points: Sequence[int]) -> Matrix:
    """Compute the mean accuracy on the experiences seen so far, at every point (M,).

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :raises UserError: see :func:`as_trace`.
    """
    trace, training = as_trace(points, last_points)
    return np.array([row[: k + 1].mean() for row, k in zip(trace, training, strict=True)])


def average_anytime_accuracy(points: Any, last_points: Sequence[int]) -> float:
    """Compute the mean of :func:`anytime_seen` over the points. Higher is better.

    AAA in Caccia et al., "New Insights on Reducing Abrupt Representation Change in Online
    Continual Learning", ICLR 2022. NaN if an accuracy on a seen experience is missing.

    :param points: accuracies (M, N), at equally spaced points.
    :param last_points: last point of each experience.
    :raises UserError: see :func:`as_trace`.
    """
    return float(anytime_seen(points, last_points).mean())


def average_anytime_accuracy_by_iteration(
    points: Any, last_points: Sequence[int], iterations: Sequence[int]
) -> float:
    """Compute the mean of :func:`anytime_seen`, by iteration. Higher is better.

    For points at uneven distances: one counts for the iterations since the one before. This
    package's, not a paper's. NaN as :func:`average_anytime_accuracy`.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :param iterations: of the whole run, at each point (M,), ascending.
    :raises UserError: see :func:`as_trace`.
    """
    weights = since_last(iterations, len(as_matrix(points)))
    return float(np.average(anytime_seen(points, last_points), weights=weights))


def learning_curve_by_iteration(
    points: Any, last_points: Sequence[int], iterations: Sequence[int]
) -> float:
    """Compute the accuracy on the experience that is trained, over its iterations, as the mean.

    A point counts for the iterations since the one before, an experience as much as another. This
    package's, not a paper's. Higher is better; NaN if a point is missing.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :param iterations: of the whole run, at each point (M,), ascending.
    :raises UserError: see :func:`as_trace`.
    """
    trace, training = as_trace(points, last_points)
    weights, own = since_last(iterations, len(trace)), trace[np.arange(len(trace)), training]
    means = [
        np.average(own[training == k], weights=weights[training == k]) for k in np.unique(training)
    ]
    return float(np.mean(means))


def since_last(iterations: Sequence[int], points: int) -> npt.NDArray[np.int64]:
    """Return the iterations since the point before, from the start of the run for the first (M,).

    :raises UserError: unless there is one for each point, ascending from 1 or more.
    """
    steps = np.asarray(iterations)
    if (
        steps.shape != (points,)
        or steps.dtype.kind not in "iu"
        or (np.diff(steps, prepend=0) <= 0).any()
    ):
        raise UserError(
            f"iterations must be a whole number for each of the {points} points, ascending from 1 "
            f"or more; got {iterations}"
        )
    return np.asarray(np.diff(steps, prepend=0))

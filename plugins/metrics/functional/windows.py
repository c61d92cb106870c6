"""The largest drop and the largest gain of accuracy within a window of a trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.continual import as_trace
from cl_strategies.plugins.metrics.functional.matrix.inputs import Matrix, as_matrix, as_vector
from cl_strategies.plugins.metrics.functional.samples import Flags


def windowed_forgetting(
    points: Any,
    window: int,
    last_points: Sequence[int] | None = None,
    *,
    iterations: Sequence[int] | None = None,
) -> float:
    """Compute the largest drop within a window, as the mean over test experiences (WF).

    De Lange et al., ICLR 2023: for each test experience evaluated so far, also the newest, the
    largest ``A[m] - A[n]`` with ``m < n`` within ``window`` consecutive points, at least 0. Lower
    is better. NaN if a test experience was measured and later not.

    :param points: accuracies (M, N), or (M,) of one test experience.
    :param window: number of consecutive points; 10 and 100 in the paper, at every iteration.
    :param last_points: last point of each experience; if given, accuracies on an experience before
        its training do not count.
    :param iterations: iteration of each point (M,), ascending; then a window is that many
        iterations, as an uneven schedule needs.
    :raises UserError: if ``window`` is below 1, for bad ``iterations``, and see :func:`as_trace`.
    """
    return _mean(*_largest_change(points, window, last_points, iterations, sign=1))


def windowed_plasticity(
    points: Any,
    window: int,
    last_points: Sequence[int] | None = None,
    *,
    iterations: Sequence[int] | None = None,
) -> float:
    """Compute the largest gain within a window, as the mean over test experiences (WP).

    :func:`windowed_forgetting` with the sign reversed; De Lange et al., ICLR 2023. Higher is
    better.

    :param points: as for :func:`windowed_forgetting`.
    :param window: as for :func:`windowed_forgetting`.
    :param last_points: as for :func:`windowed_forgetting`.
    :param iterations: as for :func:`windowed_forgetting`.
    :raises UserError: see :func:`windowed_forgetting`.
    """
    return _mean(*_largest_change(points, window, last_points, iterations, sign=-1))


def windowed_forgetting_per_experience(
    points: Any,
    window: int,
    last_points: Sequence[int] | None = None,
    *,
    iterations: Sequence[int] | None = None,
) -> Matrix:
    """Compute the largest drop within a window on each test experience (N,); NaN if unseen.

    :param points: as for :func:`windowed_forgetting`.
    :param window: as for :func:`windowed_forgetting`.
    :param last_points: as for :func:`windowed_forgetting`.
    :param iterations: as for :func:`windowed_forgetting`.
    :raises UserError: see :func:`windowed_forgetting`.
    """
    return _largest_change(points, window, last_points, iterations, sign=1)[0]


def windowed_plasticity_per_experience(
    points: Any,
    window: int,
    last_points: Sequence[int] | None = None,
    *,
    iterations: Sequence[int] | None = None,
) -> Matrix:
    """Compute the largest gain within a window on each test experience (N,); NaN if unseen.

    :param points: as for :func:`windowed_forgetting`.
    :param window: as for :func:`windowed_forgetting`.
    :param last_points: as for :func:`windowed_forgetting`.
    :param iterations: as for :func:`windowed_forgetting`.
    :raises UserError: see :func:`windowed_forgetting`.
    """
    return _largest_change(points, window, last_points, iterations, sign=-1)[0]


def _largest_change(
    points: Any,
    window: int,
    last_points: Sequence[int] | None,
    iterations: Sequence[int] | None,
    *,
    sign: int,
) -> tuple[Matrix, Flags]:
    """Return the largest drop (sign 1) or gain (-1) of each column, and which columns are seen."""
    if hasattr(points, "detach"):
        points = points.detach().cpu().numpy()
    single = len(points) > 0 and np.ndim(points[0]) == 0
    trace = as_matrix([[value] for value in points] if single else points)
    if last_points is not None:
        training = as_trace(trace, last_points)[1]
        trace[np.arange(trace.shape[1]) > training[:, None]] = np.nan
    times = _times(iterations, len(trace))
    if window < 1:
        raise UserError(f"a window has 1 point or more; got {window}")
    missing = np.isnan(trace)
    seen: Flags = np.asarray(~missing.all(axis=0))
    largest = np.where(seen, 0.0, np.nan)
    for gap in range(1, len(trace)):
        within = times[gap:] - times[:-gap] < window
        if not within.any():
            break
        change = (sign * (trace[:-gap] - trace[gap:]))[within]
        largest = np.fmax(largest, np.fmax.reduce(change, axis=0))
    interrupted = (missing[1:] & np.maximum.accumulate(~missing, axis=0)[:-1]).any(axis=0)
    return np.where(seen & ~interrupted, largest, np.nan), seen


def _times(iterations: Sequence[int] | None, points: int) -> Matrix:
    if iterations is None:
        return np.arange(points, dtype=np.float64)
    times = as_vector(iterations, "iterations")
    if len(times) != points or np.isnan(times).any() or (np.diff(times) <= 0).any():
        raise UserError(
            f"iterations must be {points} ascending numbers, one for each point; got {iterations}"
        )
    return times


def _mean(largest: Matrix, seen: Flags) -> float:
    return float(largest[seen].mean()) if seen.any() else float("nan")

"""The stability gap in numbers: how far an old experience falls while a new one is trained.

De Lange et al., ICLR 2023, name the phenomenon and give no number; these are not theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cl_strategies.plugins.metrics.functional.continual import as_trace, since_last

_BACK = 0.01


@dataclass(frozen=True)
class StabilityGap:
    """What training one experience did to the accuracy on an older one.

    :ivar old: the older experience.
    :ivar new: the experience that was trained.
    :ivar before: accuracy at the last point before.
    :ivar minimum: lowest accuracy at the points of the training.
    :ivar end: accuracy at its last point.
    :ivar recovery: points of the training until the accuracy is back at ``min(before, end) - 0.01``
        after its minimum, counted from 1; 0 if it never was below that, ``None`` if a point is
        missing.
    """

    old: int
    new: int
    before: float
    minimum: float
    end: float
    recovery: int | None

    @property
    def drop(self) -> float:
        """``before - minimum``."""
        return self.before - self.minimum

    @property
    def permanent(self) -> float:
        """``before - end``, what is not recovered; negative if the accuracy rose."""
        return self.before - self.end

    @property
    def transient(self) -> float:
        """``max(0, min(before, end) - minimum)``, what is lost and recovered."""
        return float(np.maximum(0.0, np.minimum(self.before, self.end) - self.minimum))


def stability_gaps(
    points: Any, last_points: Sequence[int], at: int | None = None
) -> list[StabilityGap]:
    """Return a :class:`StabilityGap` for every old experience and every one trained after it.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :param at: a point; the last one if left out.
    :raises UserError: see :func:`as_trace`.
    """
    trace, training = as_trace(points, last_points, at)
    gaps = []
    for old in range(int(training[-1])):
        for new in range(old + 1, int(training[-1]) + 1):
            during = trace[training == new, old]
            before = float(trace[np.flatnonzero(training == new)[0] - 1, old])
            gap = StabilityGap(
                old, new, before, float(during.min()), float(during[-1]), _recovery(before, during)
            )
            gaps.append(gap)
    return gaps


def stability_gap_mean_transient(points: Any, last_points: Sequence[int]) -> float:
    """Compute the mean of ``transient`` over :func:`stability_gaps`. Lower is better.

    NaN with a single experience, or if a point is missing.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :raises UserError: see :func:`as_trace`.
    """
    gaps = stability_gaps(points, last_points)
    return float(np.mean([gap.transient for gap in gaps])) if gaps else float("nan")


def stability_gap_worst_transient(points: Any, last_points: Sequence[int]) -> float:
    """Return the largest ``transient`` of :func:`stability_gaps`. Lower is better.

    NaN with a single experience, or if a point is missing.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :raises UserError: see :func:`as_trace`.
    """
    gaps = stability_gaps(points, last_points)
    return float(np.max([gap.transient for gap in gaps])) if gaps else float("nan")


def stability_gap_mean_drop(points: Any, last_points: Sequence[int]) -> float:
    """Compute the mean of ``drop`` over :func:`stability_gaps`. Lower is better.

    NaN with a single experience, or if a point is missing.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :raises UserError: see :func:`as_trace`.
    """
    gaps = stability_gaps(points, last_points)
    return float(np.mean([gap.drop for gap in gaps])) if gaps else float("nan")


def stability_gap_mean_permanent(points: Any, last_points: Sequence[int]) -> float:
    """Compute the mean of ``permanent`` over :func:`stability_gaps`. Lower is better.

    NaN with a single experience, or if a point is missing.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :raises UserError: see :func:`as_trace`.
    """
    gaps = stability_gaps(points, last_points)
    return float(np.mean([gap.permanent for gap in gaps])) if gaps else float("nan")


def stability_gap_mean_recovery_iterations(
    points: Any, last_points: Sequence[int], iterations: Sequence[int]
) -> float:
    """Compute how many iterations of the new experience pass until an old one is back, as the mean.

    Back is ``recovery`` of :func:`stability_gaps`; 0 where it never was away. Lower is better; NaN
    with a single experience, or if a point is missing.

    :param points: accuracies (M, N).
    :param last_points: last point of each experience.
    :param iterations: of the whole run, at each point (M,), ascending.
    :raises UserError: see :func:`as_trace`.
    """
    _, training = as_trace(points, last_points)
    steps = np.cumsum(since_last(iterations, len(training)))
    found = []
    for gap in stability_gaps(points, last_points):
        own = np.flatnonzero(training == gap.new)
        if gap.recovery is None:
            return float("nan")
        back = int(steps[own[gap.recovery - 1]] - steps[own[0] - 1])
        found.append(back if gap.recovery else 0)
    return float(np.mean(found)) if found else float("nan")


def _recovery(before: float, during: Any) -> int | None:
    target = min(before, float(during[-1])) - _BACK
    if np.isnan(before) or np.isnan(during).any():
        return None
    lowest = int(np.argmin(during))
    if during[lowest] >= target:
        return 0
    return lowest + int(np.flatnonzero(during[lowest:] >= target)[0]) + 1

"""Accuracy against bytes of memory: two curves compared as codecs are.

The idea of Bjontegaard, "Calculation of Average PSNR Differences between RD-Curves", VCEG-M33,
2001, here with straight lines between the budgets: the mean vertical distance over the budgets that
both curves have, and the mean horizontal one over the accuracies that both reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.matrix.inputs import Matrix, as_vector

_NAN = float("nan")


@dataclass(frozen=True)
class BudgetComparison:
    """A candidate's curve against a reference's; NaN where undefined.

    :ivar mean_accuracy_gain: mean difference of accuracy over the shared budgets; higher is better.
    :ivar area_reference: mean accuracy of the reference there.
    :ivar area_candidate: mean accuracy of the candidate there.
    :ivar accuracy_overlap: lowest and highest accuracy that both reach.
    :ivar mean_log2_byte_change: mean difference of log2 bytes at equal accuracy; lower is better.
        NaN unless both curves increase strictly and their accuracies overlap.
    """

    mean_accuracy_gain: float
    area_reference: float
    area_candidate: float
    accuracy_overlap: tuple[float, float]
    mean_log2_byte_change: float

    @property
    def byte_ratio(self) -> float:
        """``2 ** mean_log2_byte_change``: share of bytes for the same accuracy."""
        return float(2**self.mean_log2_byte_change)


def compare_budget_curves(
    log2_bytes: Any, reference: Any, candidate: Any, *, candidate_log2_bytes: Any = None
) -> BudgetComparison:
    """Compare two curves of accuracy against log2 of bytes.

    :param log2_bytes: budgets of the reference, strictly ascending: bytes used, not allowed.
    :param reference: its accuracies.
    :param candidate: accuracies of the candidate.
    :param candidate_log2_bytes: its budgets; those of the reference if left out.
    :raises UserError: for fewer than two budgets, budgets that do not ascend, gaps, or different
        lengths.
    """
    x, a = _curve(log2_bytes, reference, "reference")
    theirs = log2_bytes if candidate_log2_bytes is None else candidate_log2_bytes
    z, b = _curve(theirs, candidate, "candidate")
    before, after = _mean_height(x, a, z), _mean_height(z, b, x)
    overlap = (float(max(a.min(), b.min())), float(min(a.max(), b.max())))
    change = _NAN
    if (np.diff(a) > 0).all() and (np.diff(b) > 0).all():
        change = _mean_height(b, z, a) - _mean_height(a, x, b)
    return BudgetComparison(
        mean_accuracy_gain=after - before,
        area_reference=before,
        area_candidate=after,
        accuracy_overlap=overlap if overlap[0] <= overlap[1] else (_NAN, _NAN),
        mean_log2_byte_change=change,
    )


def log2_bytes_at_target(log2_bytes: Any, accuracies: Any, target: float) -> float:
    """Return the log2 of the bytes at which a curve reaches an accuracy. Lower is better.

    NaN if the curve does not reach it within its budgets, or does not increase strictly.

    :param log2_bytes: budgets, strictly ascending.
    :param accuracies: accuracies at them.
    :param target: accuracy to reach.
    :raises UserError: see :func:`compare_budget_curves`.
    """
    x, a = _curve(log2_bytes, accuracies, "accuracies")
    if (np.diff(a) <= 0).any() or not a[0] <= target <= a[-1]:
        return _NAN
    return float(np.interp(target, a, x))


def _curve(log2_bytes: Any, accuracies: Any, name: str) -> tuple[Matrix, Matrix]:
    x, y = np.atleast_1d(np.array(log2_bytes, dtype=np.float64)), as_vector(accuracies, name)
    if x.shape != y.shape or len(x) < 2 or not (np.diff(x) > 0).all() or np.isnan(y).any():
        raise UserError(
            f"{name} must have an accuracy for each of two or more budgets that ascend strictly; "
            f"got {y.tolist()} at {x.tolist()}"
        )
    return x, y


def _mean_height(x: Matrix, y: Matrix, other: Matrix) -> float:
    """Return the mean of the line through (x, y) over the range that ``x`` and ``other`` share."""
    low, high = max(x[0], other[0]), min(x[-1], other[-1])
    if low >= high:
        return _NAN
    knots = np.concatenate([[low], x[(x > low) & (x < high)], [high]])
    heights = np.interp(knots, x, y)
    area = ((heights[1:] + heights[:-1]) / 2 * np.diff(knots)).sum()
    return float(area / (high - low))

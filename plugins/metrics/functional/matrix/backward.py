"""Backward transfer and forgetting: what later experiences did to earlier ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from cl_strategies.plugins.metrics.functional.matrix.inputs import (
    Matrix,
    as_fractions,
    as_matrix,
    one_of,
)

BACKWARD_TRANSFERS = ("last_row", "all_rows")
FORGETTINGS = ("max_before_last", "max_from_own", "first_minus_last", "max_all_rows")


def backward_transfer(accuracies: Any, *, variant: str = "last_row") -> float:
    """Return how learning later experiences changed earlier ones.

    Higher is better, negative values mean forgetting. NaN with a single experience, with fewer test
    than training experiences, and for joint training.

    :param accuracies: accuracy matrix (T, N).
    :param variant: ``"last_row"``, ``mean_{i<T-1} A[T-1, i] - A[i, i]``: Lopez-Paz and Ranzato,
        NeurIPS 2017, Eq. 3. ``"all_rows"``, ``sum_{t>=1} sum_{i<t} (A[t, i] - A[i, i]) /
        (T (T-1) / 2)``: Diaz-Rodriguez et al., 2018.
    :raises UserError: see :func:`average_accuracy`; also for another variant.
    """
    matrix = as_matrix(accuracies)
    all_rows = one_of(variant, BACKWARD_TRANSFERS) == "all_rows"
    last = matrix.shape[0] - 1
    if last < 1 or matrix.shape[1] <= last:
        return float("nan")
    if all_rows:
        later, earlier = np.tril_indices(last + 1, -1)
        return float((matrix[later, earlier] - np.diagonal(matrix)[earlier]).mean())
    return float((matrix[last, :last] - np.diagonal(matrix)[:last]).mean())


def backward_transfer_plus(accuracies: Any) -> float:
    """Return the gain by later experiences, ``max(0, backward_transfer of all rows)``.

    BWT+ of Diaz-Rodriguez et al., 2018. Higher is better; NaN where backward transfer is.

    :param accuracies: accuracy matrix (T, N).
    :raises UserError: see :func:`average_accuracy`.
    """
    return _clipped(backward_transfer(accuracies, variant="all_rows"), 0.0, np.inf)


def remembering(accuracies: Any) -> float:
    """Return ``1 - |min(0, backward_transfer of all rows)|``.

    REM of Diaz-Rodriguez et al., 2018. Higher is better; NaN where backward transfer is.

    :param accuracies: accuracy matrix (T, N) of fractions.
    :raises UserError: see :func:`average_accuracy`; also for percentages.
    """
    matrix = as_fractions(as_matrix(accuracies), "remembering")
    return 1.0 + _clipped(backward_transfer(matrix, variant="all_rows"), -np.inf, 0.0)


def forgetting(
    accuracies: Any, *, relative: bool = False, variant: str = "max_before_last"
) -> float:
    """Return the mean drop of old experiences, ``mean_{i<T-1} best_i - A[T-1, i]``.

    Lower is better; negative values (backward transfer) are not clipped. The default is that of
    Chaudhry et al., "Riemannian Walk for Incremental Learning", ECCV 2018, Sec. 4: the maximum
    runs over every earlier row, also (where measured) those before experience ``i`` was trained.
    Rows ``i .. T-2`` must be measured, otherwise the result is NaN; likewise with a single
    experience, with fewer test than training experiences, and for joint training.

    :param accuracies: accuracy matrix (T, N).
    :param relative: divide each drop by the best accuracy (a fraction of what was once known;
        a best of 0 counts as 0: nothing known, nothing lost).
    :param variant: what ``best_i`` is: ``"max_before_last"``, the maximum of rows ``0 .. T-2``;
        ``"max_from_own"``, of rows ``i .. T-2``; ``"first_minus_last"``, ``A[i, i]`` (Avalanche:
        backward transfer with the other sign); ``"max_all_rows"``, of rows ``0 .. T-1`` (Mammoth:
        never negative).
    :raises UserError: see :func:`average_accuracy`; also for another variant.
    """
    matrix = as_matrix(accuracies)
    one_of(variant, FORGETTINGS)
    last = matrix.shape[0] - 1
    if last < 1 or matrix.shape[1] <= last:
        return float("nan")
    best = _best(matrix[:, :last], variant)
    drops = best - matrix[last, :last]
    if relative:
        with np.errstate(invalid="ignore", divide="ignore"):
            drops = np.where(best == 0.0, 0.0, drops / best)
    return float(drops.mean())


def forgetting_after_row(
    accuracies: Any, *, relative: bool = False, variant: str = "max_before_last"
) -> Matrix:
    """Compute :func:`forgetting` after every experience ``k``, as a curve (T,); NaN at ``k = 0``.

    :param accuracies: accuracy matrix (T, N).
    :param relative: as for :func:`forgetting`.
    :param variant: as for :func:`forgetting`.
    :raises UserError: see :func:`forgetting`.
    """
    matrix = as_matrix(accuracies)
    rows = range(1, len(matrix) + 1)
    return np.array([forgetting(matrix[:k], relative=relative, variant=variant) for k in rows])


def _best(old: Matrix, variant: str) -> Matrix:
    """Return from where each column of ``old`` fell; NaN if a row that it needs is missing."""
    if variant == "first_minus_last":
        return np.diagonal(old)
    rows = old if variant == "max_all_rows" else old[:-1]
    own = np.tri(*rows.shape, dtype=np.bool_)
    best = np.fmax.reduce(np.where(own, rows, np.nan) if variant == "max_from_own" else rows)
    return np.where((np.isnan(rows) & own).any(axis=0), np.nan, best)


def _clipped(value: float, lowest: float, highest: float) -> float:
    return float(np.clip(value, lowest, highest))

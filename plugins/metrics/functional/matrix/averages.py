"""Averages of an accuracy matrix: of its last row, of all rows, of its diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cl_strategies.plugins.metrics.functional.matrix.inputs import as_matrix, as_weights


def average_accuracy(accuracies: Any, sizes: Sequence[float] | None = None) -> float:
    """Compute the mean of the last row over the trained experiences, ``mean_{i<T} A[T-1, i]``.

    ACC in Lopez-Paz and Ranzato, "Gradient Episodic Memory", NeurIPS 2017, Eq. 2. With the number
    of test samples of each experience it is the accuracy on the union of their test sets
    (``acc_weighted``), which class-incremental papers print. Higher is better; NaN if an entry of
    the last row is missing.

    :param accuracies: accuracy matrix (T, N).
    :param sizes: numbers of test samples (N,), positive; all equal when left out.
    :raises UserError: if it is not a two-dimensional table of finite numbers and gaps, or if
        ``sizes`` has another length or a number that is not positive.
    """
    matrix = as_matrix(accuracies)
    seen = matrix[-1, : matrix.shape[0]]
    if sizes is None:
        return float(seen.mean())
    return float(np.average(seen, weights=as_weights(sizes, matrix.shape[1])[: len(seen)]))


def average_incremental_accuracy(
    accuracies: Any, sizes: Sequence[float] | None = None, *, include_first: bool = True
) -> float:
    """Compute the mean over ``t`` of the accuracy on everything seen by then.

    ``mean_t  sum_{i<=t} n_i A[t, i] / sum_{i<=t} n_i``; Rebuffi et al., "iCaRL", CVPR 2017,
    Sec. 4.1. With ``n_i`` the number of test samples of experience ``i``, row ``t`` is the plain
    accuracy on the union of the seen test sets, which is what class-incremental papers report.
    Higher is better; NaN if an entry ``i <= t`` is missing.

    :param accuracies: accuracy matrix (T, N).
    :param sizes: weights ``n_i`` (N,), positive; all equal when left out.
    :param include_first: whether row 0 counts. Castro et al., "End-to-End Incremental Learning",
        ECCV 2018, leave it out since nothing incremental has happened there; NaN then with one row.
    :raises UserError: also when ``sizes`` has another length or a weight that is not positive.
    """
    matrix = as_matrix(accuracies)
    rows, columns = matrix.shape
    weights = as_weights(sizes, columns)
    seen = [min(t + 1, columns) for t in range(rows)]
    averages = [np.average(matrix[t, :n], weights=weights[:n]) for t, n in enumerate(seen)]
    counted = averages if include_first else averages[1:]
    return float(np.mean(counted)) if counted else float("nan")


def lower_triangle_accuracy(accuracies: Any) -> float:
    """Compute the mean of all entries on and below the diagonal.

    ``sum_{t>=i} A[t, i] / (T (T+1) / 2)``, the accuracy of Diaz-Rodriguez et al., "Don't forget,
    there is more than forgetting", 2018. Higher is better; NaN if one of the entries is missing or
    with fewer test than training experiences.

    :param accuracies: accuracy matrix (T, N).
    :raises UserError: see :func:`average_accuracy`.
    """
    matrix = as_matrix(accuracies)
    rows, columns = matrix.shape
    return float(matrix[np.tril_indices(rows)].mean()) if columns >= rows else float("nan")


def learning_accuracy(accuracies: Any) -> float:
    """Compute the mean accuracy just after training an experience, ``mean_{i<T} A[i, i]``.

    LA in Riemer et al., "Learning to Learn without Forgetting by Maximizing Transfer and
    Minimizing Interference", ICLR 2019, Sec. 4. NaN with fewer test than training experiences
    and for joint training.

    :param accuracies: accuracy matrix (T, N).
    :raises UserError: see :func:`average_accuracy`.
    """
    matrix = as_matrix(accuracies)
    rows, columns = matrix.shape
    return float(np.diagonal(matrix).mean()) if columns >= rows else float("nan")


def accuracy_spread(accuracies: Any) -> float:
    """Compute the standard deviation of the last row over the trained experiences.

    Park et al., "Continual Learning by Asymmetric Loss Approximation with Single-Side
    Overestimation", ICCV 2019, Fig. 6: small where no task is given up for another. The tasks are
    all there are, so that the divisor is their number.

    :param accuracies: accuracy matrix (T, N).
    :raises UserError: see :func:`average_accuracy`.
    """
    matrix = as_matrix(accuracies)
    return float(matrix[-1, : matrix.shape[0]].std())


def min_row_accuracy_final(accuracies: Any) -> float:
    """Return the accuracy on the worst trained experience, ``min_{i<T} A[T-1, i]``.

    Higher is better; NaN if an entry of the last row is missing.

    :param accuracies: accuracy matrix (T, N).
    :raises UserError: see :func:`average_accuracy`.
    """
    matrix = as_matrix(accuracies)
    return float(matrix[-1, : matrix.shape[0]].min())

"""The metrics of continual learning as functions of an accuracy matrix.

``A[t, i]`` is the accuracy on test experience ``i`` after training experience ``t`` (both
from 0). ``None`` or NaN means "not measured". Accuracies are fractions or percentages: every
metric here except the relative ones has the unit of its input. ``A`` may be a list of lists, a
numpy array or a torch tensor; with ``T`` rows and more than ``T`` columns (training still
goes on) the columns from ``T`` on belong to experiences not trained yet and do not count.

A metric that needs an entry that was not measured is undefined and returns NaN: a mean over
the part that happens to be there would be a different metric under the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError

Matrix = npt.NDArray[np.float64]


def average_accuracy(accuracies: Any) -> float:
    """Compute the mean of the last row over the trained experiences, ``mean_{i<T} A[T-1, i]``.

    ACC in Lopez-Paz and Ranzato, "Gradient Episodic Memory", NeurIPS 2017, Eq. 2.

    :param accuracies: accuracy matrix (T, N).
    :raises UserError: if it is not a two-dimensional table of finite numbers and gaps.
    """
    matrix = as_matrix(accuracies)
    return float(matrix[-1, : matrix.shape[0]].mean())


def backward_transfer(accuracies: Any) -> float:
    """Return how learning later experiences changed earlier ones, ``mean_{i<T-1} A[T-1, i] - A[i,
    i]``.

    Lopez-Paz and Ranzato, NeurIPS 2017, Eq. 3. Negative values mean forgetting. NaN with a
    single experience, with fewer test than training experiences, and for joint training.

    :param accuracies: accuracy matrix (T, N).
    :raises UserError: see :func:`average_accuracy`.
    """
    matrix = as_matrix(accuracies)
    last = matrix.shape[0] - 1
    if last < 1 or matrix.shape[1] <= last:
        return float("nan")
    return float((matrix[last, :last] - np.diagonal(matrix)[:last]).mean())


def forgetting(accuracies: Any, *, relative: bool = False) -> float:
    """Return the drop from the best accuracy ever had, ``mean_{i<T-1} max_{l<T-1} A[l, i] - A[T-1,
    i]``.

    Chaudhry et al., "Riemannian Walk for Incremental Learning", ECCV 2018, Sec. 4: the maximum
    runs over every earlier row, also (where measured) those before experience ``i`` was trained.
    Rows ``i .. T-2`` must be measured, otherwise the result is NaN; likewise with a single
    experience, with fewer test than training experiences, and for joint training.

    :param accuracies: accuracy matrix (T, N).
    :param relative: divide each drop by the best accuracy (a fraction of what was once known;
        a best of 0 counts as 0: nothing known, nothing lost).
    :raises UserError: see :func:`average_accuracy`.
    """
    matrix = as_matrix(accuracies)
    last = matrix.shape[0] - 1
    if last < 1 or matrix.shape[1] <= last:
        return float("nan")
    drops = []
    for i in range(last):
        earlier = matrix[:last, i]
        best = np.nan if np.isnan(earlier[i:]).any() else np.nanmax(earlier)
        drop = best - matrix[last, i]
        if relative:
            drop = 0.0 if best == 0.0 else drop / best
        drops.append(drop)
    return float(np.mean(drops))


def average_incremental_accuracy(accuracies: Any, sizes: Sequence[float] | None = None) -> float:
    """Compute the mean over ``t`` of the accuracy on everything seen by then.

    ``mean_t  sum_{i<=t} n_i A[t, i] / sum_{i<=t} n_i``; Rebuffi et al., "iCaRL", CVPR 2017,
    Sec. 4.1. With ``n_i`` the number of test samples of experience ``i``, row ``t`` is the plain
    accuracy on the union of the seen test sets, which is what class-incremental papers report.

    :param accuracies: accuracy matrix (T, N).
    :param sizes: weights ``n_i`` (N,), positive; all equal when left out.
    :raises UserError: also when ``sizes`` has another length or a weight that is not positive.
    """
    matrix = as_matrix(accuracies)
    rows, columns = matrix.shape
    weights = np.ones(columns) if sizes is None else np.asarray(sizes, dtype=np.float64)
    if weights.shape != (columns,) or not np.all(np.isfinite(weights) & (weights > 0)):
        raise UserError(
            f"sizes must be {columns} positive numbers, one for each column of the accuracy "
            f"matrix; got {np.asarray(sizes).tolist()}"
        )
    seen = [min(t + 1, columns) for t in range(rows)]
    return float(
        np.mean([np.average(matrix[t, :n], weights=weights[:n]) for t, n in enumerate(seen)])
    )


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


def order_disparity(performance: Any) -> tuple[Matrix, float, float]:
    """Compute how much a task's final accuracy depends on the order of the tasks.

    ``OPD_i = max_r P[r, i] - min_r P[r, i]`` over the orders ``r``; MOPD and AOPD are its
    maximum and mean over the tasks. Yoon et al., "Scalable and Order-robust Continual Learning
    with Additive Parameter Decomposition", ICLR 2020, Sec. 4.

    :param performance: final accuracies (orders, tasks); a column is a task by its *original*
        index, not by its position in an order (average repeated seeds of an order first).
    :return: OPD (tasks,), MOPD, AOPD; NaN where an accuracy is missing or there is one order only.
    :raises UserError: see :func:`average_accuracy`.
    """
    table = as_matrix(performance)
    if table.shape[0] < 2:
        table = np.full_like(table, np.nan)
    per_task = table.max(axis=0) - table.min(axis=0)
    return per_task, float(per_task.max()), float(per_task.mean())


def as_matrix(values: Any) -> Matrix:
    """Copy ``values`` to a two-dimensional float64 array with NaN for every gap.

    :param values: list of lists with ``None``, numpy array or torch tensor.
    :raises UserError: if ``values`` is ragged, empty, not two-dimensional, or holds an infinite
        or negative number.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        matrix = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"an accuracy matrix must be a table of numbers with rows of equal length "
            f"(None or NaN where nothing was measured): {error}"
        ) from None
    if matrix.ndim != 2 or matrix.size == 0:
        raise UserError(
            f"an accuracy matrix has two dimensions, rows (after training t) and columns (test "
            f"experience i), and at least one entry; got shape {matrix.shape}"
        )
    if np.isinf(matrix).any() or (matrix < 0).any():
        raise UserError("accuracies must be finite and not negative (None or NaN for a gap)")
    return matrix

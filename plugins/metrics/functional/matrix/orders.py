"""Robustness to the order of tasks."""

from __future__ import annotations

from typing import Any

import numpy as np

from cl_strategies.plugins.metrics.functional.matrix.inputs import Matrix, as_matrix


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

"""Stability and plasticity: what is kept of old experiences beside what is learned of new ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from cl_strategies.plugins.metrics.functional.matrix.averages import learning_accuracy
from cl_strategies.plugins.metrics.functional.matrix.inputs import as_matrix


def stability_final_old(accuracies: Any) -> float:
    """Compute the final accuracy on old experiences, ``mean_{i<T-1} A[T-1, i]``.

    Stability of Arani et al., "Learning Fast, Learning Slow", ICLR 2022. Higher is better; NaN with
    a single experience, with fewer test than training experiences, or if an entry is missing.

    :param accuracies: accuracy matrix (T, N).
    :raises UserError: see :func:`average_accuracy`.
    """
    matrix = as_matrix(accuracies)
    last = matrix.shape[0] - 1
    if last < 1 or matrix.shape[1] <= last:
        return float("nan")
    return float(matrix[last, :last].mean())


def stability_plasticity_harmonic(accuracies: Any) -> float:
    """Compute ``2 S P / (S + P)`` of stability ``S`` and plasticity ``P``, 0 where both are 0.

    Trade-off of Arani et al., ICLR 2022: ``S`` is :func:`stability_final_old`, ``P``
    :func:`learning_accuracy`. Higher is better; NaN where one of them is.

    :param accuracies: accuracy matrix (T, N).
    :raises UserError: see :func:`average_accuracy`.
    """
    stability, plasticity = stability_final_old(accuracies), learning_accuracy(accuracies)
    total = stability + plasticity
    return 0.0 if total == 0 else 2 * stability * plasticity / total


def retention_ratio(accuracies: Any) -> float:
    """Compute the share of what was learned that is kept, ``mean_{i<T-1} A[T-1, i] / A[i, i]``.

    In common use. Higher is better; NaN with a single experience, with fewer test than training
    experiences, if an entry is missing, or if nothing was learned of an experience (``A[i, i] =
    0``).

    :param accuracies: accuracy matrix (T, N).
    :raises UserError: see :func:`average_accuracy`.
    """
    matrix = as_matrix(accuracies)
    last = matrix.shape[0] - 1
    if last < 1 or matrix.shape[1] <= last:
        return float("nan")
    learned = np.diagonal(matrix)[:last]
    return float((matrix[last, :last] / learned).mean()) if (learned != 0).all() else float("nan")

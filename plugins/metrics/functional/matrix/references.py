"""Comparison with models that do not learn continually: joint, isolated, offline, random ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.matrix.inputs import (
    Matrix,
    as_matrix,
    as_number,
    as_row,
    as_vector,
    as_weights,
)


def intransigence(accuracies: Any, joint: Any) -> Matrix:
    """Compute what was not learned of each experience, ``J_k - A[k, k]``, as a vector (T,).

    Chaudhry et al., "Riemannian Walk for Incremental Learning", ECCV 2018: ``J_k`` is the
    accuracy on experience ``k`` of a model trained jointly on experiences ``0 .. k``. Lower is
    better. Papers print the mean or the last entry: name it. NaN where ``J_k`` or the diagonal is
    missing, and everywhere with fewer test than training experiences.

    :param accuracies: accuracy matrix (T, N).
    :param joint: accuracies ``J`` (T or more).
    :raises UserError: see :func:`average_accuracy`; also for a bad ``joint``.
    """
    matrix = as_matrix(accuracies)
    rows, columns = matrix.shape
    reference = as_row(joint, rows, "joint")
    if columns < rows:
        return np.full(rows, np.nan)
    return np.asarray(reference - np.diagonal(matrix))


def hat_forgetting_ratio(accuracy: Any, random: Any, joint: Any) -> float:
    """Compute the mean over tasks of ``(accuracy - random) / (joint - random) - 1``.

    Serra et al., "Overcoming Catastrophic Forgetting with Hard Attention to the Task", ICML 2018:
    -1 is chance, 0 is joint training, which is best. NaN if one is missing or where joint
    training is no better than chance.

    :param accuracy: accuracy or accuracies (tasks,) after the last task.
    :param random: of guessing, one or for each task.
    :param joint: of a model trained jointly on the tasks so far, one or for each task.
    :raises UserError: for negative or infinite numbers, or lengths that do not go together.
    """
    values = [
        as_vector(value, name)
        for value, name in ((accuracy, "accuracy"), (random, "random"), (joint, "joint"))
    ]
    try:
        reached, guessed, best = np.broadcast_arrays(*values)
    except ValueError:
        raise UserError(
            f"accuracy, random and joint must be numbers or lists of equal length; got "
            f"{', '.join(str(len(value)) for value in values)} numbers"
        ) from None
    if len(reached) == 0 or (best == guessed).any():
        return float("nan")
    return float(((reached - guessed) / (best - guessed) - 1).mean())


def hat_ratio(accuracies: Any, random: Any, joint: Any) -> float:
    """Compute :func:`hat_forgetting_ratio` of the last row over the trained experiences.

    :param accuracies: accuracy matrix (T, N).
    :param random: accuracies of guessing (T or more).
    :param joint: accuracies of a model trained jointly on all T experiences (T or more).
    :raises UserError: see :func:`average_accuracy`; also for a bad ``random`` or ``joint``.
    """
    matrix = as_matrix(accuracies)
    seen = matrix[-1, : len(matrix)]
    guessed, best = as_row(random, len(seen), "random"), as_row(joint, len(seen), "joint")
    return hat_forgetting_ratio(seen, guessed, best)


def omega_base(accuracies: Any, offline: float) -> float:
    """Return the first experience's accuracy afterwards, ``mean_{t>=1} A[t, 0] / alpha``.

    Kemker et al., "Measuring Catastrophic Forgetting in Neural Networks", AAAI 2018; ``alpha`` is
    the accuracy of an offline model. Higher is better. NaN with a single experience, with
    ``alpha = 0``, or if an entry is missing.

    :param accuracies: accuracy matrix (T, N).
    :param offline: ``alpha``.
    :raises UserError: see :func:`average_accuracy`; also for a bad ``offline``.
    """
    matrix = as_matrix(accuracies)
    return _share(matrix[1:, 0], as_number(offline, "offline"))


def omega_new(accuracies: Any) -> float:
    """Return the accuracy on new experiences when they are new, ``mean_{t>=1} A[t, t]``.

    As :func:`omega_base`, without a division; NaN also with fewer test than training experiences.

    :param accuracies: accuracy matrix (T, N).
    :raises UserError: see :func:`average_accuracy`.
    """
    matrix = as_matrix(accuracies)
    rows, columns = matrix.shape
    return _share(np.diagonal(matrix)[1:], 1.0) if columns >= rows else float("nan")


def omega_all(accuracies: Any, offline: float, sizes: Sequence[float] | None = None) -> float:
    """Return the mean over ``t >= 1`` of the accuracy on everything seen by then, over ``alpha``.

    As :func:`omega_base`.

    :param accuracies: accuracy matrix (T, N).
    :param offline: ``alpha``.
    :param sizes: numbers of test samples (N,), positive; all equal when left out.
    :raises UserError: see :func:`average_accuracy`; also for a bad ``offline`` or ``sizes``.
    """
    matrix = as_matrix(accuracies)
    rows, columns = matrix.shape
    weights = as_weights(sizes, columns)
    if columns < rows:
        return float("nan")
    seen = [np.average(matrix[t, : t + 1], weights=weights[: t + 1]) for t in range(1, rows)]
    return _share(np.array(seen), as_number(offline, "offline"))


def _share(values: Matrix, whole: float) -> float:
    return float(values.mean() / whole) if len(values) and whole != 0 else float("nan")

"""How large a difference is, beside the difference itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from cl_strategies.statistics.intervals import spread
from cl_strategies.validation.arrays import numbers


def d_z(differences: Any) -> float | None:
    """Return the mean paired difference over its standard deviation; ``None`` without spread.

    Good pairing inflates it: compare it between equal designs only.
    """
    d = numbers(differences, "the differences", ndim=1)
    sd = float(spread(d))
    return float(d.mean()) / sd if sd > 0 else None


def hedges_g_z(differences: Any) -> float | None:
    """Return ``d_z`` times 1 - 3 / (4 (n - 1) - 1), less biased with few pairs."""
    d = numbers(differences, "the differences", ndim=1)
    effect = d_z(d)
    return None if effect is None else effect * (1 - 3 / (4 * (len(d) - 1) - 1))


def superiority_paired(differences: Any) -> float:
    """Return the share of pairs with a difference above 0, those at 0 counting half."""
    d = numbers(differences, "the differences", ndim=1)
    return float((d > 0).mean() + 0.5 * (d == 0).mean())


def superiority(a: Any, b: Any) -> float:
    """Return the share of all (i, j) with a_i > b_j, ties counting half (A12, Vargha and Delaney).

    For scores that are not paired. Averaged over streams it is the probability of improvement
    of Agarwal et al. 2021.
    """
    first = numbers(a, "the first scores", ndim=1)
    second = np.sort(numbers(b, "the second scores", ndim=1))
    below = np.searchsorted(second, first, side="left")
    up_to = np.searchsorted(second, first, side="right")
    return float((below + up_to).sum() / (2 * len(first) * len(second)))


def cliffs_delta(a: Any, b: Any) -> float:
    """Return the share of all (i, j) with a_i > b_j less that with a_i < b_j, from -1 to 1."""
    return 2 * superiority(a, b) - 1


def relative_error_reduction(a: Any, b: Any) -> float | None:
    """Return the share of the mean error of b that a does away with, for accuracies in [0, 1].

    ``None`` where b makes no error, or where the scores are no accuracies.
    """
    first = numbers(a, "the first scores", ndim=1)
    second = numbers(b, "the second scores", ndim=1)
    both = np.concatenate([first, second])
    error = 1 - float(second.mean())
    if both.min() < 0 or both.max() > 1 or (second == 1).all():
        return None
    return (error - (1 - float(first.mean()))) / error

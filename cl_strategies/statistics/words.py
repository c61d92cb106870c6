"""From an interval to a word, and the same interval read as probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from cl_strategies.errors import UserError
from cl_strategies.statistics.intervals import spread
from cl_strategies.validation.arrays import numbers
from cl_strategies.validation.numbers import not_negative

BETTER, WORSE, EQUIVALENT, UNDECIDED = "better", "worse", "equivalent", "undecided"
#: A difference of accuracies below this is of no practical interest (Benavoli et al. 2017).
ROPE = 0.01


def verdict(low: float, high: float, rope: float = ROPE) -> str:
    """Return what the 95 % interval [low, high] of a - b says of a, where higher is better.

    ``"better"`` if it lies above 0, ``"worse"`` if below, else ``"equivalent"`` if it lies within
    (-rope, rope), else ``"undecided"``. Without an interval (``NaN``): undecided.

    :param rope: half the width of the region of practical equivalence, set before the runs.
    :raises UserError: for a negative rope.
    """
    not_negative(rope=rope)
    if low > 0:
        return BETTER
    if high < 0:
        return WORSE
    # Equal scores throughout differ by nothing, whatever the rope.
    if (-rope < low and high < rope) or low == high == 0:
        return EQUIVALENT
    return UNDECIDED


def by_how_much(low: float, high: float, rope: float = ROPE) -> str:
    """Return ``"by more than the rope"``, ``"by less than matters"``, or nothing.

    It qualifies ``"better"`` and ``"worse"``; other verdicts have no amount.
    """
    if verdict(low, high, rope) not in (BETTER, WORSE):
        return ""
    least, most = (low, high) if low > 0 else (-high, -low)
    if least > rope:
        return "by more than the rope"
    return "by less than matters" if most < rope else ""


@dataclass(frozen=True, kw_only=True)
class CorrelatedT:
    """Probabilities that the mean difference is below, within and above the rope; they sum to 1."""

    p_worse: float
    p_rope: float
    p_better: float


def correlated_t(differences: Any, *, rope: float = ROPE, correlation: float = 0.0) -> CorrelatedT:
    """Return the posterior of the mean difference as three probabilities.

    Student t with n - 1 degrees of freedom about the mean, scale
    sqrt(s^2 (1/n + rho / (1 - rho))) (Corani and Benavoli 2015).

    :param correlation: rho, from training sets that overlap; the share of test data in
        cross-validation, 0 for seeds that are independent and one test set.
    :raises UserError: for fewer than two differences, or a correlation outside [0, 1).
    """
    d = numbers(differences, "the differences", ndim=1)
    not_negative(rope=rope, correlation=correlation)
    if correlation >= 1:
        raise UserError(f"correlation is {correlation}: give 0 or more, below 1")
    n, mean = len(d), float(d.mean())
    if n < 2:
        raise UserError("one difference has no spread: give at least two")
    scale = float(spread(d)) * np.sqrt(1 / n + correlation / (1 - correlation))
    if scale == 0:
        return CorrelatedT(
            p_worse=float(mean < -rope),
            p_rope=float(-rope <= mean <= rope),
            p_better=float(mean > rope),
        )
    worse = float(special.stdtr(n - 1, (-rope - mean) / scale))
    better = float(special.stdtr(n - 1, (mean - rope) / scale))
    return CorrelatedT(p_worse=worse, p_rope=max(0.0, 1 - worse - better), p_better=better)

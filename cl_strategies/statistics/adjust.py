"""Several comparisons at once: Holm's adjustment, and how many pairs it takes to pass it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.statistics.flips import least_p
from cl_strategies.validation.arrays import Floats, numbers
from cl_strategies.validation.numbers import fraction, whole


@dataclass(frozen=True, kw_only=True)
class Holm:
    """P values adjusted for their number.

    :param adjusted: in the order of the input; ``NaN`` where the p was.
    :param rejected_at_05: whether each is at most 0.05.
    :param m: comparisons counted.
    """

    adjusted: tuple[float, ...]
    rejected_at_05: tuple[bool, ...]
    m: int


def holm(p: Any) -> Holm:
    """Adjust p values so that one of them at most 0.05 by chance is a 5 % event.

    Sorted ascending, p_(r) becomes the largest of min(1, (m - r + 1) p_(r)) so far (Holm 1979).

    :param p: shape (m,); ``NaN`` for a comparison that has none, which is not counted.
    :raises UserError: for values outside [0, 1].
    """
    values = numbers(p, "the p values", ndim=1, missing=True)
    if ((values < 0) | (values > 1)).any():
        raise UserError("a p value is below 0 or above 1: give probabilities")
    adjusted = holm_adjusted(values)
    return Holm(
        adjusted=tuple(adjusted.tolist()),
        rejected_at_05=tuple((adjusted <= 0.05).tolist()),
        m=int((~np.isnan(values)).sum()),
    )


def holm_adjusted(p: Floats) -> Floats:
    """Return p values adjusted along the last axis; ``NaN`` stays and is not counted."""
    order = np.argsort(p, axis=-1, kind="stable")  # NaN comes last
    ranked = np.take_along_axis(p, order, axis=-1)
    counted = (~np.isnan(p)).sum(axis=-1, keepdims=True)
    factors = np.maximum(counted - np.arange(p.shape[-1]), 1)
    ranked = np.minimum(1.0, np.maximum.accumulate(factors * ranked, axis=-1))
    adjusted = np.empty_like(ranked)
    np.put_along_axis(adjusted, order, ranked, axis=-1)
    return adjusted


def smallest_p(n: int) -> float:
    """Return the least two-sided p that n pairs can give in a sign-flip or Wilcoxon test.

    2 / 2^n up to 20 pairs (0.0625 with 5); above, that of the 100,000 sign vectors drawn.

    :raises UserError: for n below 1.
    """
    whole(1, n=n)
    return least_p(int(n))


def least_pairs(comparisons: int = 1, alpha: float = 0.05) -> int:
    """Return the least number of pairs with which the best of m comparisons can pass Holm.

    6 for one comparison, 7 for 2 or 3, 8 for 5, 9 for 10, 11 for all 45 pairs of 10 methods.

    :raises UserError: for m below 1 or alpha outside (0, 1).
    """
    whole(1, comparisons=comparisons)
    fraction(alpha=alpha)
    if not 0 < alpha < 1:
        raise UserError(f"alpha is {alpha}: give a number between 0 and 1, such as 0.05")
    n = 1
    while 2.0 ** (1 - n) * comparisons > alpha:
        n += 1
    return n


def pairs_suffice(n: int, comparisons: int, alpha: float) -> bool:
    """Return whether a sign-flip test of ``n`` pairs can reject after Holm over ``comparisons``."""
    return n >= 2 and least_p(n) * comparisons <= alpha


def index_pairs(k: int, baseline: int | None = None) -> Sequence[tuple[int, int]]:
    """Return all pairs (i, j) with i < j of ``k`` methods, or each other one with ``baseline``."""
    if baseline is not None:
        return [(i, baseline) for i in range(k) if i != baseline]
    return [(i, j) for i in range(k) for j in range(i + 1, k)]

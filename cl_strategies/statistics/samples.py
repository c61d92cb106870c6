"""Two trained models on one test set: McNemar's test. It says nothing about other seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from cl_strategies.errors import UserError
from cl_strategies.validation.arrays import numbers, same_shape
from cl_strategies.validation.numbers import whole


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Test samples that one of two models gets right alone.

    :param n: samples; ``None`` if only counts of the others were given.
    :param only_a: right by a, wrong by b; ``only_b`` the other way round.
    :param difference: accuracy of a - accuracy of b; ``None`` where n is.
    :param p_exact: two-sided binomial; ``p_mid`` with half the weight on the observed count,
        less conservative.
    :param chi2: (only_a - only_b)^2 / (only_a + only_b), ``p_chi2`` its p.
    :param chi2_corrected: with continuity correction (|only_a - only_b| - 1), and its p.
    :param reason: why the chi-squared values are ``None``.
    """

    n: int | None
    only_a: int
    only_b: int
    difference: float | None
    p_exact: float
    p_mid: float
    chi2: float | None
    p_chi2: float | None
    chi2_corrected: float | None
    p_chi2_corrected: float | None
    reason: str = ""


def mcnemar(correct_a: Any, correct_b: Any) -> McNemar:
    """Test whether two trained models are right equally often on one test set.

    :param correct_a: and ``correct_b``: whether each sample is right, shape (n,), the same
        samples in the same order.
    :raises UserError: for values other than 0 and 1, or lists of different length.
    """
    a, b = numbers(correct_a, "correct_a", ndim=1), numbers(correct_b, "correct_b", ndim=1)
    same_shape(a, b, "correct_a and correct_b")
    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        raise UserError("correct_a and correct_b say right or wrong: give true and false")
    counts = mcnemar_counts(int((a > b).sum()), int((b > a).sum()))
    return McNemar(**{**vars(counts), "n": len(a), "difference": float(a.mean() - b.mean())})


def mcnemar_counts(only_a: int, only_b: int) -> McNemar:
    """Do the test of ``mcnemar`` on the two counts of samples that one model alone gets right.

    :raises UserError: for a count that is no integer from 0.
    """
    whole(0, only_a=only_a, only_b=only_b)
    total, few = only_a + only_b, min(only_a, only_b)
    exact = float(stats.binomtest(only_a, total).pvalue) if total else 1.0
    mid = min(
        1.0, 2 * float(stats.binom.cdf(few, total, 0.5)) - float(stats.binom.pmf(few, total, 0.5))
    )
    chi2 = (only_a - only_b) ** 2 / total if total else None
    corrected = max(0, abs(only_a - only_b) - 1) ** 2 / total if total else None
    return McNemar(
        n=None,
        only_a=int(only_a),
        only_b=int(only_b),
        difference=None,
        p_exact=exact,
        p_mid=mid if total else 1.0,
        chi2=chi2,
        p_chi2=None if chi2 is None else float(stats.chi2.sf(chi2, 1)),
        chi2_corrected=corrected,
        p_chi2_corrected=None if corrected is None else float(stats.chi2.sf(corrected, 1)),
        reason="" if total else "the models are right on the same samples",
    )

"""Two methods on the same (stream, order, seed): one comparison, whole."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy import special, stats

from cl_strategies.errors import UserError
from cl_strategies.statistics import effects
from cl_strategies.statistics.flips import EXACT, flip_p, signflip
from cl_strategies.statistics.intervals import spread, t_interval, t_p
from cl_strategies.statistics.words import ROPE, by_how_much, correlated_t, verdict
from cl_strategies.validation.arrays import Floats, numbers, same_shape
from cl_strategies.validation.numbers import not_negative


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """What n pairs say of a and b. Differences are a - b, in the unit of the scores.

    :param n: complete pairs; ``dropped`` had no score on one side (a failed run).
    :param mean: of the differences; ``sd`` their standard deviation, ``se`` that of the mean.
    :param t_interval: 95 % interval of the mean; assumes roughly normal differences.
    :param t_p: two-sided p of the paired t test; ``None`` without spread.
    :param signflip_p_two_sided: of the sign-flip test, over ``n_flips`` sign vectors.
    :param smallest_p: the least that ``n`` pairs can give in it.
    :param wilcoxon_p: two-sided, of the signed ranks, zeros left out, ties enumerated.
    :param sign_test_p: two-sided, of the number of differences above 0.
    :param welch_p: of the test that ignores the pairing: shown to be compared, never to judge by.
    :param d_z: mean over standard deviation; ``hedges_g_z`` with its bias removed.
    :param probability_of_superiority_paired: that a pair has a better; ties half.
    :param probability_of_superiority: that any run of a is better than any of b (A12).
    :param cliffs_delta: twice that less 1.
    :param relative_error_reduction: share of b's error that a does away with.
    :param p_worse: and ``p_rope``, ``p_better``: where the mean lies beside the rope.
    :param verdict: of a, from the interval: better, worse, equivalent or undecided.
    :param by_how_much: what qualifies better and worse.
    :param reasons: name of each field that is ``None``, and why.
    """

    n: int
    dropped: int
    mean: float
    sd: float | None
    se: float | None
    t_interval: tuple[float, float] | None
    t_p: float | None
    signflip_p_two_sided: float
    n_flips: int
    smallest_p: float
    wilcoxon_p: float | None
    sign_test_p: float | None
    welch_p: float | None
    d_z: float | None
    hedges_g_z: float | None
    probability_of_superiority_paired: float
    probability_of_superiority: float | None
    cliffs_delta: float | None
    relative_error_reduction: float | None
    p_worse: float | None
    p_rope: float | None
    p_better: float | None
    rope: float
    verdict: str
    by_how_much: str
    reasons: dict[str, str]

    @property
    def exact(self) -> bool:
        """Whether every sign vector was counted."""
        return self.n <= EXACT


def paired(
    a: Any, b: Any, *, rope: float = ROPE, higher_is_better: bool = True, seed: int = 0
) -> PairedComparison:
    """Compare ``a`` with ``b`` over pairs of (stream, order, seed).

    The same seed must fix stream, order, initial weights and order of the data for both.

    :param a: and ``b``: scores, shape (n,), pair by pair; ``NaN`` for a run that failed, whose
        pair is dropped and counted.
    :param rope: a difference below it does not matter; set it before the runs.
    :param higher_is_better: turn it off for forgetting, errors, bytes and seconds: words and
        probabilities then take the lower one as better, differences stay a - b.
    :raises UserError: for lists of different length, or no complete pair.
    """
    first = numbers(a, "the scores of a", ndim=1, missing=True)
    second = numbers(b, "the scores of b", ndim=1, missing=True)
    same_shape(first, second, "the scores of a and b")
    kept = ~(np.isnan(first) | np.isnan(second))
    if not kept.any():
        raise UserError("a and b have no pair with both scores: give one run of each per pair")
    return _compare(
        first[kept] - second[kept],
        rope,
        higher_is_better,
        seed,
        scores=(first[kept], second[kept]),
        dropped=int((~kept).sum()),
    )


def paired_differences(
    d: Any, *, rope: float = ROPE, higher_is_better: bool = True, seed: int = 0
) -> PairedComparison:
    """Compare as ``paired`` does where only the differences a - b are known, shape (n,).

    :raises UserError: for something else than finite numbers.
    """
    return _compare(numbers(d, "the differences", ndim=1), rope, higher_is_better, seed)


def wilcoxon_p(d: Floats, seed: int = 0) -> float | None:
    """Return the two-sided exact p of the signed-rank test; ``None`` if all differences are 0.

    Zeros are left out; ties have mean ranks, whose signs are enumerated.
    """
    ranked = d[d != 0]
    if not ranked.size:
        return None
    magnitudes = np.round(np.abs(ranked), 12)  # ties that rounding pulled apart
    return flip_p(np.sign(ranked) * stats.rankdata(magnitudes), seed)


def _compare(
    d: Floats,
    rope: float,
    higher_is_better: bool,
    seed: int,
    scores: tuple[Floats, Floats] | None = None,
    dropped: int = 0,
) -> PairedComparison:
    not_negative(rope=rope)
    n, flips, sign = len(d), signflip(d, seed=seed), 1.0 if higher_is_better else -1.0
    sd = float(spread(d)) if n > 1 else None
    low, high = (float(end) for end in t_interval(d))
    ends = (low, high) if higher_is_better else (-high, -low)
    posterior = correlated_t(sign * d, rope=rope) if n > 1 else None
    above, nonzero = int((d > 0).sum()), int((d != 0).sum())
    better = effects.superiority(sign * scores[0], sign * scores[1]) if scores else None
    values: dict[str, Any] = {
        "sd": sd,
        "se": None if sd is None else sd / sqrt(n),
        "t_interval": (low, high) if n > 1 else None,
        "t_p": float(t_p(d)) if sd else None,
        "wilcoxon_p": wilcoxon_p(d, seed),
        "sign_test_p": _sign_test(above, nonzero) if nonzero else None,
        "welch_p": _welch(scores),
        "d_z": effects.d_z(d),
        "hedges_g_z": effects.hedges_g_z(d),
        "probability_of_superiority": better,
        "cliffs_delta": None if better is None else 2 * better - 1,
        "relative_error_reduction": (
            effects.relative_error_reduction(*scores) if scores and higher_is_better else None
        ),
        "p_worse": posterior and posterior.p_worse,
        "p_rope": posterior and posterior.p_rope,
        "p_better": posterior and posterior.p_better,
    }
    return PairedComparison(
        n=n,
        dropped=dropped,
        mean=flips.mean,
        signflip_p_two_sided=flips.signflip_p_two_sided,
        n_flips=flips.n_flips,
        smallest_p=flips.smallest_p,
        probability_of_superiority_paired=effects.superiority_paired(sign * d),
        rope=rope,
        verdict=verdict(*ends, rope),
        by_how_much=by_how_much(*ends, rope),
        reasons={name: _reason(name, n, scores) for name in values if values[name] is None},
        **values,
    )


def _sign_test(above: int, n: int) -> float:
    return min(1.0, 2 * float(special.bdtr(min(above, n - above), n, 0.5)))


def _welch(scores: tuple[Floats, Floats] | None) -> float | None:
    if scores is None or len(scores[0]) < 2 or not any(float(spread(side)) for side in scores):
        return None
    (a, b), n = scores, len(scores[0])
    test = stats.ttest_ind_from_stats(
        a.mean(), float(spread(a)), n, b.mean(), float(spread(b)), n, equal_var=False
    )
    return float(test.pvalue)


def _reason(name: str, n: int, scores: object) -> str:
    if name in ("probability_of_superiority", "cliffs_delta") or (
        scores is None and name in ("welch_p", "relative_error_reduction")
    ):
        return "only differences were given"
    if name == "relative_error_reduction":
        return "the scores are no accuracies, or b makes no error"
    if n < 2:
        return "one pair has no spread"
    if name in ("wilcoxon_p", "sign_test_p"):
        return "all differences are 0"
    return "all differences are equal"

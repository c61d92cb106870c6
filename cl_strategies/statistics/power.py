"""How many seeds it takes to see a difference."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, sqrt
from typing import Any

from scipy import special, stats

from cl_strategies.errors import UserError
from cl_strategies.statistics.adjust import least_pairs
from cl_strategies.statistics.intervals import spread
from cl_strategies.validation.arrays import numbers
from cl_strategies.validation.numbers import finite, positive, whole

#: No experiment has more seeds.
MOST = 100_000


@dataclass(frozen=True, kw_only=True)
class RequiredSeeds:
    """Pairs that it takes.

    :param effect: the difference over the standard deviation of paired differences.
    :param n: least n whose t test has the power; ``None`` where there is none below 100,000.
    :param n_normal: what the normal approximation would say: too few where small.
    :param n_exact: ``n``, and no fewer than an exact test needs to pass Holm.
    :param power: of the t test with ``n`` pairs.
    :param floor: least n with which an exact test can pass Holm.
    :param difference: that was asked for, in the unit of the scores; ``None`` if an effect was.
    :param sd: that was counted with; ``None`` if an effect was given.
    :param reason: why ``n`` is ``None``.
    """

    effect: float
    n: int | None
    n_normal: int | None
    n_exact: int | None
    power: float | None
    floor: int
    difference: float | None = None
    sd: float | None = None
    reason: str = ""


def t_power(effect: float, n: int, alpha: float = 0.05) -> float:
    """Return the power of the two-sided paired t test at ``alpha``.

    :param effect: mean over standard deviation of the paired differences.
    :param n: pairs, at least 2.
    :raises UserError: for n below 2.
    """
    whole(2, n=n)
    shift = abs(effect) * sqrt(n)
    critical = float(special.stdtrit(n - 1, 1 - alpha / 2))
    below, missed = (float(special.nctdtr(n - 1, shift, limit)) for limit in (-critical, critical))
    # SciPy gives NaN where a probability is too small for it: they are 0 in every digit.
    below, missed = (0.0 if value != value else value for value in (below, missed))
    return 1.0 - missed + below


def required_seeds(
    effect: float, *, power: float = 0.8, alpha: float = 0.05, comparisons: int = 1
) -> RequiredSeeds:
    """Return the least number of pairs with which a t test sees ``effect`` with ``power``.

    34 for an effect of 0.5, 10 for 1, 5 for 2, of one comparison.

    :param effect: mean over standard deviation of the paired differences; its sign is ignored.
    :param comparisons: of the table; each is tested at ``alpha`` divided by it.
    :raises UserError: for a power or alpha outside (0, 1), or an infinite effect.
    """
    finite(effect=effect)
    whole(1, comparisons=comparisons)
    for name, value in (("power", power), ("alpha", alpha)):
        positive(**{name: value})
        if value >= 1:
            raise UserError(f"{name} is {value}: give a number between 0 and 1")
    floor, size, level = least_pairs(comparisons, alpha), abs(float(effect)), alpha / comparisons
    quantiles = stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)
    rough = (max(0.0, quantiles) / size) ** 2 if size > 0 else inf
    if rough > MOST:
        reason = "no difference to see" if size == 0 else f"more than {MOST} pairs"
        return RequiredSeeds(
            effect=float(effect),
            n=None,
            n_normal=None,
            n_exact=None,
            power=None,
            floor=floor,
            reason=reason,
        )
    n = max(2, ceil(rough))
    while n > 2 and t_power(size, n - 1, level) >= power:
        n -= 1
    while t_power(size, n, level) < power:
        n += 1
    return RequiredSeeds(
        effect=float(effect),
        n=n,
        n_normal=max(1, ceil(rough - 1e-12)),
        n_exact=max(n, floor),
        power=t_power(size, n, level),
        floor=floor,
    )


def sd_upper_limit(sd: float, n: int, level: float = 0.8) -> float:
    """Return the upper limit of a standard deviation that a pilot of ``n`` found to be ``sd``.

    sd sqrt((n - 1) / chi2_{1-level, n-1}): 2.1 times it at n = 3 and 80 %.

    :raises UserError: for n below 2.
    """
    whole(2, n=n)
    return float(sd * sqrt((n - 1) / stats.chi2.ppf(1 - level, n - 1)))


def seeds_needed(
    differences: Any,
    *,
    difference: float | None = None,
    cautious: bool = True,
    power: float = 0.8,
    alpha: float = 0.05,
    comparisons: int = 1,
) -> RequiredSeeds:
    """Return how many pairs would settle a difference, going by the spread of those there are.

    :param differences: paired differences of the pilot, shape (n,), n >= 2.
    :param difference: to be settled, in the unit of the scores; the pilot's mean by default.
    :param cautious: count with the upper 80 % limit of the standard deviation (a spread
        estimated from few pairs is often too small), else with the estimate.
    :raises UserError: for fewer than two differences.
    """
    d = numbers(differences, "the differences", ndim=1)
    if len(d) < 2:
        raise UserError("one difference has no spread: give at least two")
    wanted = float(d.mean()) if difference is None else float(difference)
    sd = float(spread(d))
    if cautious:
        sd = sd_upper_limit(sd, len(d))
    if sd == 0:
        floor = least_pairs(comparisons, alpha)
        known = wanted != 0
        return RequiredSeeds(
            effect=inf if known else 0.0,
            n=None,
            n_normal=None,
            n_exact=floor if known else None,
            power=None,
            floor=floor,
            difference=wanted,
            sd=sd,
            reason="the differences have no spread" if known else "no difference to see",
        )
    found = required_seeds(wanted / sd, power=power, alpha=alpha, comparisons=comparisons)
    return RequiredSeeds(**{**vars(found), "difference": wanted, "sd": sd})


def noether_seeds(gamma: float = 0.75, *, alpha: float = 0.05, beta: float = 0.05) -> int:
    """Return the n with which P(a > b) = ``gamma`` is told from 1/2 (Noether 1987).

    ((z_{1-alpha} + z_{1-beta}) / (sqrt(6) (gamma - 1/2)))^2: 29 for 0.75 at 5 % and 5 %, the
    advice of Bouthillier et al. 2021.

    :raises UserError: for gamma outside (0.5, 1].
    """
    if not 0.5 < gamma <= 1:
        raise UserError(f"gamma is {gamma}: give a probability above 0.5, up to 1")
    z = float(stats.norm.ppf(1 - alpha) + stats.norm.ppf(1 - beta))
    return ceil((z / (sqrt(6) * (gamma - 0.5))) ** 2)

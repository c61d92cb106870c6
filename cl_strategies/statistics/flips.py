"""Sign-flip tests: were the labels of the two methods exchanged within pairs, what would come out?

Under the null the two scores of a unit (a pair, or all pairs of a task order) are exchangeable,
so every vector of signs is as likely as the observed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.validation.arrays import Floats, numbers
from cl_strategies.validation.numbers import whole

#: Units up to which all sign vectors are counted; above, they are drawn.
EXACT = 20
#: Sign vectors drawn where they are too many to count.
DRAWS = 100_000
#: Statistics that differ by less are equal.
TOLERANCE = 1e-12


@dataclass(frozen=True, kw_only=True)
class SignFlip:
    """A sign-flip test.

    :param n: units whose sign was flipped.
    :param mean: the statistic, in the unit of the scores.
    :param signflip_p_two_sided: share of sign vectors with at least that magnitude.
    :param smallest_p: the least that this test can give with ``n`` units.
    :param n_flips: sign vectors counted, or drawn.
    :param exact: whether all of them were counted.
    """

    n: int
    mean: float
    signflip_p_two_sided: float
    smallest_p: float
    n_flips: int
    exact: bool


def least_p(n: int) -> float:
    """Return the least two-sided p of a sign-flip test of ``n`` units: 2 / 2^n where exact."""
    return min(1.0, 2.0 ** (1 - n)) if n <= EXACT else 1 / (DRAWS + 1)


def flip_p(terms: Floats, seed: int = 0) -> float:
    """Return the share of sign vectors s with |sum s_j terms_j| >= |sum terms_j|.

    Exact up to 20 terms: the sums of one half are sorted, and those of the other half looked up
    among them. Above, 100,000 vectors are drawn with ``seed`` and the observed one is counted too.
    """
    n, bound = len(terms), abs(float(terms.sum())) - TOLERANCE
    if n > EXACT:
        generator = np.random.default_rng(seed)
        reached = 0
        for _ in range(10):
            signs = generator.integers(0, 2, (DRAWS // 10, n), dtype=np.int8) * 2.0 - 1.0
            reached += int((np.abs(signs @ terms) >= bound).sum())
        return float(reached + 1) / (DRAWS + 1)
    left, right = _sums(terms[: n // 2]), np.sort(_sums(terms[n // 2 :]))
    above = len(right) - np.searchsorted(right, bound - left, side="left")
    below = np.searchsorted(right, -bound - left, side="right")
    return float(min(1.0, (above + below).sum() / 2**n))


def _sums(terms: Floats) -> Floats:
    sums = np.zeros(1)
    for term in terms:
        sums = np.concatenate([sums + term, sums - term])
    return sums


def _result(terms: Floats, seed: int) -> SignFlip:
    n = len(terms)
    whole(0, seed=seed)
    return SignFlip(
        n=n,
        mean=float(terms.sum()),
        signflip_p_two_sided=flip_p(terms, seed),
        smallest_p=least_p(n),
        n_flips=2**n if n <= EXACT else DRAWS,
        exact=n <= EXACT,
    )


def signflip(differences: Any, *, seed: int = 0) -> SignFlip:
    """Test a mean paired difference of 0 by flipping the sign of each pair.

    With 5 pairs or fewer no p of 0.05 can be reached: ``smallest_p`` says it.

    :param differences: a - b for each pair, shape (n,).
    :param seed: of the sign vectors drawn where n is above 20.
    :raises UserError: for something else than a list of finite numbers.
    """
    d = numbers(differences, "the differences", ndim=1)
    return _result(d / len(d), seed)


def stratified_signflip(
    differences: Sequence[Any], *, standardize: bool = False, seed: int = 0
) -> SignFlip:
    """Test the mean over streams of the mean difference: one sign for each (stream, seed).

    The conclusion is about these streams.

    :param differences: one list of paired differences for each stream.
    :param standardize: divide those of each stream by their root mean square, so that streams
        with large differences do not outweigh the others. No flip changes it, so the test stays
        exact. A stream whose differences are all 0 stays as it is.
    :raises UserError: for no streams, or empty lists.
    """
    lists = [
        numbers(d, f"the differences on stream {m}", ndim=1) for m, d in enumerate(differences)
    ]
    if not lists:
        raise UserError("there are no streams: give a list of differences for each")
    if standardize:
        scales = [float(np.sqrt((d**2).mean())) or 1.0 for d in lists]
        lists = [d / scale for d, scale in zip(lists, scales, strict=True)]
    return _result(np.concatenate([d / len(d) / len(lists) for d in lists]), seed)


def signflip_orders(differences: Any, *, seed: int = 0) -> SignFlip:
    """Test a mean difference of 0 over task orders: one sign for all cells of an order.

    For claims about orders. Flipping each cell would ignore that the cells of an order move
    together, and raise too many false alarms.

    :param differences: a - b, shape (orders, seeds).
    :raises UserError: for something else than a table of finite numbers.
    """
    cells = numbers(differences, "the differences of orders and seeds", ndim=2)
    return _result(cells.mean(axis=1) / len(cells), seed)

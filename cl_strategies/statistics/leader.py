"""Which method is best, and which cannot be told apart from it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.statistics.adjust import index_pairs, least_pairs
from cl_strategies.statistics.cells import Scores, checked, complete_pairs
from cl_strategies.statistics.evidence import directions, judged, resolution_of
from cl_strategies.validation.arrays import Floats

BEST, TIED, BEHIND, UNKNOWN = "best", "cannot be told apart", "worse", "not compared"


@dataclass(frozen=True, kw_only=True)
class BestMethods:
    """What may be said of each method.

    :param leader: the one with the highest mean (the lowest, where lower is better) on the
        cells that it shares with each other, among those with at least half as many scores as
        the most complete one. Its mean flatters it: it was chosen for being high.
    :param words: for each method ``"best"`` (it is better than every other), ``"cannot be told
        apart"`` (from the leader; the leader too, unless it is best), ``"worse"`` (than the
        leader), or ``"not compared"`` (fewer than two pairs with the leader). A method without
        any score keeps no other from being best.
    :param p_adjusted: of each comparison with the leader, by Holm over all pairs of methods.
    :param tests: whose p it was: ``"sign-flip"``, ``"t"`` or ``"none"``.
    :param n: pairs with the leader.
    :param m: comparisons adjusted for: all pairs, since the leader is chosen after looking.
    :param pairs_needed: least number of pairs with which an exact test passes Holm here.
    """

    leader: str
    words: dict[str, str]
    p_adjusted: dict[str, float | None]
    tests: dict[str, str]
    n: dict[str, int]
    m: int
    pairs_needed: int

    @property
    def decided(self) -> bool:
        """Whether one method is better than every other."""
        return self.words[self.leader] == BEST


def best(
    scores: Scores,
    *,
    alpha: float = 0.05,
    test: str = "auto",
    higher_is_better: bool = True,
    units: Sequence[Hashable] | None = None,
) -> BestMethods:
    """Say which method is best or cannot be told apart from the best, on cells of one stream.

    Among equal methods some method is called best, or some worse, with a chance of at most
    ``alpha``: Holm's adjustment counts all pairs of methods.

    :param scores: for each method one score per cell (order, seed), all in the same order;
        ``NaN`` for a run that failed: the pair is dropped.
    :param test: as in ``compare_all``.
    :param units: for claims about orders, the order of each cell: its cells count as one.
    :raises UserError: for fewer than two methods, lists of different length, or no two methods
        with a common cell.
    """
    arrays = {
        method: values
        for method, values in checked(scores, units).items()
        if not np.isnan(values).all()
    }
    methods, sign = tuple(arrays), 1.0 if higher_is_better else -1.0
    indices = index_pairs(len(methods))
    gains = []
    means = np.full((len(methods), len(methods)), np.nan)
    for i, j in indices:
        first, second, _ = complete_pairs(arrays[methods[i]], arrays[methods[j]], units)
        gains.append(sign * (first - second))
        if len(first):
            means[i, j] = gains[-1].mean()
            means[j, i] = -means[i, j]
    if not gains or np.isnan(means).all():
        raise UserError("no two methods have a score on the same cell: compare runs of equal seeds")
    lead = _leader(means, [int((~np.isnan(values)).sum()) for values in arrays.values()])
    p, tests = judged(
        gains,
        comparisons=len(gains),
        alpha=alpha,
        test=test,
        resolution=resolution_of(arrays.values()),
    )
    signs, adjusted = directions(gains, p, alpha)
    words = {}
    by_other: dict[str, int] = {}
    for row, (i, j) in enumerate(indices):
        if lead in (i, j):
            other, ahead = (j, signs[row]) if i == lead else (i, -signs[row])
            by_other[methods[other]] = row
            unknown = len(gains[row]) < 2
            words[methods[other]] = UNKNOWN if unknown else BEHIND if ahead > 0 else TIED
    words[methods[lead]] = BEST if set(words.values()) == {BEHIND} else TIED
    known = {method: float(adjusted[row]) for method, row in by_other.items()}
    return BestMethods(
        leader=methods[lead],
        words={method: words.get(method, UNKNOWN) for method in scores},
        p_adjusted={method: None if np.isnan(value) else value for method, value in known.items()},
        tests={method: tests[row] for method, row in by_other.items()},
        n={method: len(gains[row]) for method, row in by_other.items()},
        m=len(gains),
        pairs_needed=least_pairs(len(gains), alpha),
    )


def _leader(means: Floats, counts: list[int]) -> int:
    """Return the method whose least mean gain over another is largest."""
    least = np.where(np.isnan(means), np.inf, means).min(axis=1)
    measured = np.array(counts) * 2 >= max(counts)
    able = np.isfinite(least) & (measured if np.isfinite(least[measured]).any() else True)
    return int(np.argmax(np.where(able, least, -np.inf)))

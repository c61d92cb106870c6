"""The competitors of one benchmark beside each other, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cl_strategies.reports.analysis.cells import Cells, cells_of, competitors
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.marks import PRIMARY, judging_test
from cl_strategies.results.metrics import describe
from cl_strategies.statistics.adjust import index_pairs, least_pairs
from cl_strategies.statistics.cells import complete_pairs
from cl_strategies.statistics.evidence import directions, judged, resolution_of
from cl_strategies.statistics.flips import flip_p, least_p
from cl_strategies.statistics.intervals import t_interval
from cl_strategies.statistics.power import seeds_needed
from cl_strategies.statistics.words import (
    BETTER,
    EQUIVALENT,
    ROPE,
    UNDECIDED,
    WORSE,
    by_how_much,
    verdict,
)
from cl_strategies.validation.arrays import Floats

ALPHA = 0.05
MOST_STRATEGIES = 12
"""Up to so many all pairs are shown; with more each strategy beside the one with the best mean."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Strategy ``a`` beside ``b``, whose mean is not better.

    :param n: complete pairs (or orders).
    :param dropped: cells in which one of them has no score.
    :param mean: of the differences a - b, in the unit of the metric.
    :param interval: its 95 % t interval; ``None`` with one pair.
    :param p: two-sided, by ``test`` (``"sign-flip"``, ``"t"`` or ``"none"``).
    :param p_adjusted: by Holm over all pairs of strategies, shown here or not.
    :param exact_p: of the exact sign-flip test; ``None`` above 20 pairs.
    :param floor: the least that the exact test can give.
    :param verdict: of a, in the words of :mod:`cl_strategies.statistics`.
    :param needed: pairs that would settle a difference of ``needed_for``, if undecided and known.
    """

    a: str
    b: str
    n: int
    dropped: int
    mean: float
    interval: tuple[float, float] | None
    test: str
    p: float | None
    p_adjusted: float | None
    exact_p: float | None
    floor: float
    verdict: str
    by_how_much: str
    needed: int | None = None
    needed_for: float | None = None


@dataclass(frozen=True, kw_only=True)
class PairTable:
    """Comparisons of one benchmark, adjusted together.

    :param strategies: the competitors, best mean first.
    :param pairs: those that are shown, see :data:`MOST_STRATEGIES`.
    :param m: comparisons adjusted for: all pairs of the strategies.
    :param unit: what is counted, ``"pair"`` or ``"order"``.
    :param least: how many of them an exact test needs to pass Holm here.
    :param signs: (a, b) -> 1, -1 or 0 for every pair: a is better, worse, neither is shown.
    """

    benchmark: str
    metric: str
    strategies: tuple[str, ...]
    pairs: tuple[Pair, ...]
    m: int
    unit: str
    least: int
    rope: float
    signs: dict[tuple[str, str], int]

    @property
    def whole(self) -> bool:
        """Whether all pairs are shown."""
        return len(self.pairs) == self.m

    @property
    def most(self) -> int:
        """The largest number of pairs of two strategies."""
        return max((pair.n for pair in self.pairs), default=0)

    def row(self, a: str, b: str) -> Pair | None:
        """Return the pair of these two, ``None`` if it is not shown."""
        return next((pair for pair in self.pairs if {pair.a, pair.b} == {a, b}), None)


def pair_tables(groups: Sequence[Group], metric: str = PRIMARY) -> list[PairTable]:
    """Return a table for each benchmark on which two competitors share a cell."""
    labels = sorted({group.benchmark for group in groups})
    tables = [pair_table(competitors(groups, label), label, metric) for label in labels]
    return [table for table in tables if table is not None]


def pair_table(
    groups: Sequence[Group], benchmark: str, metric: str = PRIMARY, rope: float = ROPE
) -> PairTable | None:
    """Return the comparisons of ``groups``, all on ``benchmark``; ``None`` if there is no pair."""
    cells = cells_of(groups, metric)
    if len(cells.scores) < 2:
        return None
    higher = describe(metric).higher_is_better is not False
    sign = 1.0 if higher else -1.0
    names = sorted(cells.scores, key=lambda name: (-sign * np.nanmean(cells.scores[name]), name))
    indices = index_pairs(len(names))
    sides = [
        complete_pairs(cells.scores[names[i]], cells.scores[names[j]], cells.units)
        for i, j in indices
    ]
    gains = [sign * (first - second) for first, second, _ in sides]
    if not any(len(values) for values in gains):
        return None
    p, tests = judged(
        gains,
        comparisons=len(gains),
        alpha=ALPHA,
        test=judging_test(cells),
        resolution=resolution_of(cells.scores.values()),
    )
    signs, adjusted = directions(gains, p, ALPHA)
    shown = [
        row
        for row, (i, _) in enumerate(indices)
        if len(gains[row]) and (i == 0 or len(names) <= MOST_STRATEGIES)
    ]
    return PairTable(
        benchmark=benchmark,
        metric=metric,
        strategies=tuple(names),
        pairs=tuple(
            _pair(
                (names[indices[row][0]], names[indices[row][1]]),
                sign * gains[row],
                (p[row], adjusted[row], signs[row]),
                test=tests[row],
                dropped=sides[row][2],
                higher=higher,
                rope=rope,
                comparisons=len(gains),
            )
            for row in shown
        ),
        m=len(gains),
        unit=Cells(scores={}, units=cells.units).unit,
        least=least_pairs(len(gains)),
        rope=rope,
        signs={
            (names[i], names[j]): int(signs[row])
            for row, (i, j) in enumerate(indices)
            if len(gains[row])
        },
    )


def _pair(
    names: tuple[str, str],
    d: Floats,
    numbers: tuple[float, float, float],
    *,
    test: str,
    dropped: int,
    higher: bool,
    rope: float,
    comparisons: int,
) -> Pair:
    p, adjusted, sign = (float(value) for value in numbers)
    gains, n = d if higher else -d, len(d)
    word = (BETTER if sign > 0 else WORSE) if sign else _even(gains, rope, ALPHA / comparisons)
    interval, amount, needed, needed_for = None, "", None, None
    if n > 1:
        low, high = (float(end) for end in t_interval(d))
        interval = low, high
        ends = (low, high) if higher else (-high, -low)
        amount = by_how_much(*ends, rope) if sign else ""
        if word == UNDECIDED:
            needed_for = max(abs(float(d.mean())), rope)
            found = seeds_needed(gains, difference=needed_for, comparisons=comparisons)
            needed = found.n_exact
    return Pair(
        a=names[0],
        b=names[1],
        n=n,
        dropped=dropped,
        mean=float(d.mean()),
        interval=interval,
        test=test,
        p=None if p != p else p,
        p_adjusted=None if adjusted != adjusted else adjusted,
        exact_p=flip_p(d / n) if 1 < n <= 20 else None,
        floor=least_p(n),
        verdict=word,
        by_how_much=amount,
        needed=needed,
        needed_for=needed_for,
    )


def _even(gains: Floats, rope: float, level: float) -> str:
    """Return the word where no direction is shown."""
    if len(gains) < 2:
        return UNDECIDED
    low, high = (float(end) for end in t_interval(gains, 1 - level))
    return EQUIVALENT if verdict(low, high, rope) == EQUIVALENT else UNDECIDED

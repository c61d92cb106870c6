"""Comparisons over several benchmarks: wins, ties and losses, and mean ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.comparison.pairs import PairTable
from cl_strategies.results.metrics import describe
from cl_strategies.statistics.ranks import FEWEST_STREAMS, MOST_METHODS, Friedman, friedman


@dataclass(frozen=True, kw_only=True)
class Wins:
    """On how many benchmarks a strategy is shown to be better than another, tied, or worse.

    :param strategies: those that are on at least two benchmarks, most wins first.
    :param counts: (row, column) -> wins, ties and losses of the row.
    :param benchmarks: how many there are.
    """

    strategies: tuple[str, ...]
    counts: dict[tuple[str, str], tuple[int, int, int]]
    benchmarks: int

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """Strategy, one text for each other strategy, and the sum over all of them."""
        result = []
        for row in self.strategies:
            cells = [self.counts.get((row, column)) for column in self.strategies]
            texts = ("" if cell is None else _text(cell) for cell in cells)
            result.append((row, *texts, _text(self.total(row))))
        return result

    def total(self, strategy: str) -> tuple[int, int, int]:
        """Return wins, ties and losses of ``strategy`` over all others."""
        found = [cell for (row, _), cell in self.counts.items() if row == strategy]
        wins, ties, losses = (sum(cell[k] for cell in found) for k in range(3))
        return wins, ties, losses

    @property
    def compact(self) -> bool:
        """Whether there are too many strategies for a matrix: only sums are shown."""
        return len(self.strategies) > MOST_METHODS


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Mean ranks over benchmarks, 1 being best.

    :param friedman: the test behind them.
    """

    strategies: tuple[str, ...]
    benchmarks: int
    friedman: Friedman


def wins(tables: Sequence[PairTable]) -> Wins | None:
    """Count the verdicts of ``tables``, one for each benchmark; ``None`` with fewer than two."""
    if len(tables) < 2:
        return None
    counts: dict[tuple[str, str], tuple[int, int, int]] = {}
    for table in tables:
        for (a, b), sign in table.signs.items():
            for pair, value in (((a, b), sign), ((b, a), -sign)):
                won, tied, lost = counts.get(pair, (0, 0, 0))
                counts[pair] = (won + (value > 0), tied + (value == 0), lost + (value < 0))
    everywhere = {pair: cell for pair, cell in counts.items() if sum(cell) > 1}
    names = {name for pair in everywhere for name in pair}
    if len(names) < 2:
        return None
    found = Wins(strategies=tuple(names), counts=everywhere, benchmarks=len(tables))
    order = sorted(names, key=lambda name: (found.total(name)[2] - found.total(name)[0], name))
    return Wins(strategies=tuple(order), counts=everywhere, benchmarks=len(tables))


def ranks(rows: Sequence[SummaryRow], metric: str) -> Ranks | None:
    """Rank the competitors by their means on at least 8 benchmarks, 12 strategies at most.

    Seeds are no benchmarks: with fewer of these there are no ranks. Only strategies with a mean
    on every benchmark count.
    """
    found = [row for row in rows if row.metric == metric and row.n and not row.reference]
    benchmarks = sorted({row.benchmark for row in found})
    means: dict[str, dict[str, float]] = {}
    for row in found:
        means.setdefault(row.strategy, {})[row.benchmark] = row.mean
    names = sorted(name for name, values in means.items() if len(values) == len(benchmarks))
    if len(benchmarks) < FEWEST_STREAMS or not 2 <= len(names) <= MOST_METHODS:
        return None
    table = np.array([[means[name][benchmark] for name in names] for benchmark in benchmarks])
    higher = describe(metric).higher_is_better is not False
    return Ranks(
        strategies=tuple(names),
        benchmarks=len(benchmarks),
        friedman=friedman(table, higher_is_better=higher),
    )


def _text(cell: tuple[int, int, int]) -> str:
    return " / ".join(map(str, cell))

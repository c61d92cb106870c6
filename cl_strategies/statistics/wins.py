"""How often one method beats another: wins, ties and losses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cl_strategies.statistics.cells import Scores, checked
from cl_strategies.statistics.several import ComparisonTable
from cl_strategies.statistics.words import BETTER, WORSE
from cl_strategies.validation.numbers import not_negative


@dataclass(frozen=True, kw_only=True)
class WinsTiesLosses:
    """Counts for each pair of methods, shape (k, k): row against column; the diagonal is 0."""

    methods: tuple[str, ...]
    wins: NDArray[np.int64]
    ties: NDArray[np.int64]
    losses: NDArray[np.int64]


def wins_ties_losses(
    scores: Scores, *, tie: float = 0.0, higher_is_better: bool = True
) -> WinsTiesLosses:
    """Count on how many cells (or streams) each method has the better score.

    :param scores: for each method one score per cell, all in the same order; ``NaN`` for a run
        that failed: the cell counts for no pair of that method.
    :param tie: differences up to it are ties (1e-12 of rounding is always allowed).
    :raises UserError: for fewer than two methods, lists of different length, a negative ``tie``.
    """
    not_negative(tie=tie)
    table = np.stack(list(checked(scores, None).values())) * (1 if higher_is_better else -1)
    gains = table[:, None, :] - table[None, :, :]
    bound = tie + 1e-12
    wins = (gains > bound).sum(axis=-1)
    ties = (np.abs(gains) <= bound).sum(axis=-1)
    np.fill_diagonal(ties, 0)
    return WinsTiesLosses(methods=tuple(scores), wins=wins, ties=ties, losses=wins.T.copy())


def count_verdicts(tables: Iterable[ComparisonTable]) -> WinsTiesLosses:
    """Count in how many tables, one for each stream, a method is shown to be better.

    Verdicts that are neither better nor worse are ties. Methods stand in order of appearance.
    """
    rows = [row for table in tables for row in table.rows]
    methods = tuple(dict.fromkeys(name for row in rows for name in (row.a, row.b)))
    place = {method: position for position, method in enumerate(methods)}
    wins = np.zeros((len(methods), len(methods)), dtype=np.int64)
    ties = wins.copy()
    for row in rows:
        a, b = place[row.a], place[row.b]
        if row.verdict == BETTER:
            wins[a, b] += 1
        elif row.verdict == WORSE:
            wins[b, a] += 1
        else:
            ties[a, b] += 1
            ties[b, a] += 1
    return WinsTiesLosses(methods=methods, wins=wins, ties=ties, losses=wins.T.copy())

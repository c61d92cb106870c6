"""Which strategy is best, and which cannot be told apart from it: the marks of the tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.reports.analysis.cells import Cells, cells_of
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.results.metrics import describe
from cl_strategies.statistics.cells import complete_pairs
from cl_strategies.statistics.flips import EXACT
from cl_strategies.statistics.intervals import t_interval
from cl_strategies.statistics.leader import BEST as BEST_WORD
from cl_strategies.statistics.leader import TIED, UNKNOWN, best

BEST = "best"
LEVEL = "level"
PRIMARY = "average_accuracy"
"""The metric by which a report decides; the others are marked by the same rule."""
MANY = 12
MOST_STRATEGIES = 100
"""With more than this only :data:`PRIMARY` is marked: the others would take minutes."""


def marks(groups: Sequence[Group], metric: str) -> dict[str, str]:
    """Return label -> mark for the competitors ``groups`` on one benchmark.

    ``"best"`` is better than every other. Where none is, the one with the best mean and all that
    are not shown to be worse get ``"level"``. Pairs are runs of the same order and seed, p values
    are adjusted by Holm over all pairs of strategies. Without pairs there are no marks.

    With more than :data:`MANY` competitors few seeds decide nothing after Holm, and all of them
    would be ``"level"``: then only those are whose 95 % interval of the difference to the one with
    the best mean includes 0.
    """
    higher = describe(metric).higher_is_better
    if higher is None or (len(groups) > MOST_STRATEGIES and metric != PRIMARY):
        return {}
    cells = cells_of(groups, metric)
    if len(cells.scores) < 2 or not differ(cells):
        return {}
    try:
        found = best(
            cells.scores,
            test=judging_test(cells),
            higher_is_better=higher,
            units=cells.units,
        )
    except UserError:  # no two of them have a run in the same cell
        return {}
    others = [word for name, word in found.words.items() if name != found.leader]
    if set(others) == {UNKNOWN}:
        return {}
    signs = {BEST_WORD: BEST, TIED: LEVEL}
    marked = {name: signs[word] for name, word in found.words.items() if word in signs}
    if len(groups) <= MANY:
        return marked
    return {
        name: mark
        for name, mark in marked.items()
        if mark == BEST or name == found.leader or _reached(cells, found.leader, name)
    }


def _reached(cells: Cells, leader: str, name: str) -> bool:
    """Return whether the 95 % interval of the difference to the leader includes 0."""
    first, second, _ = complete_pairs(cells.scores[leader], cells.scores[name], cells.units)
    low, high = t_interval(first - second)
    return bool(low <= 0 <= high)


def judging_test(cells: Cells) -> str:
    """Return the test to judge by: with many pairs t, which is then as good as signs drawn."""
    many = max(int((~np.isnan(values)).sum()) for values in cells.scores.values()) > EXACT
    return "t" if many else "auto"


def differ(cells: Cells) -> bool:
    """Return whether there is anything to choose between."""
    return len({float(np.nanmean(values)) for values in cells.scores.values()}) > 1

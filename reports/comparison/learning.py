"""Forgetting that is low because little was learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cl_strategies.reports.analysis.cells import cells_of, competitors
from cl_strategies.reports.analysis.findings import Finding
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.marks import PRIMARY
from cl_strategies.reports.comparison.pairs import PairTable, pair_table
from cl_strategies.reports.comparison.sentences import points


def less_learnt(groups: Sequence[Group], benchmark: str) -> list[Finding]:
    """Say so of the strategy that forgets least, beside the one with the best mean accuracy.

    Both have to be shown, by the comparisons of all competitors: that it forgets less, and that
    its learning accuracy is lower.
    """
    here = competitors(groups, benchmark)
    accuracies, drops = (cells_of(here, metric).scores for metric in (PRIMARY, "forgetting"))
    if len(accuracies) < 2 or len(drops) < 2:
        return []
    best = max(sorted(accuracies), key=lambda name: float(np.nanmean(accuracies[name])))
    least = min(sorted(drops), key=lambda name: float(np.nanmean(drops[name])))
    if best == least:
        return []
    forgets, learns = (
        pair_table(here, benchmark, metric) for metric in ("forgetting", "learning_accuracy")
    )
    if _sign(forgets, least, best) <= 0 or _sign(learns, least, best) >= 0:
        return []
    scores = cells_of(here, "learning_accuracy").scores
    gap = float(np.nanmean(scores[best] - scores[least]))
    text = (
        f"forgets less than {best} because less was learnt: its learning accuracy is "
        f"{points(gap)} points lower."
    )
    return [Finding(name=least, text=text)]


def _sign(table: PairTable | None, first: str, second: str) -> int:
    """Return 1 if ``first`` is shown to be better than ``second``, -1 if worse, else 0."""
    if table is None:
        return 0
    return table.signs.get((first, second), 0) - table.signs.get((second, first), 0)

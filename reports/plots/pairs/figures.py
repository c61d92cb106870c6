"""Figures of comparisons: differences to the leader, and mean ranks."""

from __future__ import annotations

from collections.abc import Sequence

from cl_strategies.reports.comparison.pairs import PairTable
from cl_strategies.reports.comparison.sentences import interval, points
from cl_strategies.reports.comparison.streams import Ranks
from cl_strategies.reports.plots.figures import Figure
from cl_strategies.reports.plots.pairs.forest import forest_svg
from cl_strategies.reports.plots.pairs.ranks import ranks_svg
from cl_strategies.results.formatting import count
from cl_strategies.statistics.words import UNDECIDED

MOST_ROWS = 20
"""With more strategies than this only those with the best means are drawn."""


def forest_figures(tables: Sequence[PairTable]) -> list[Figure]:
    """Return for each table how far the leader is ahead of the others."""
    figures = []
    for k, table in enumerate(tables):
        leader = table.strategies[0]
        pairs = [pair for pair in table.pairs if pair.a == leader]
        shown = pairs[:MOST_ROWS]
        first, last = shown[0], shown[-1]
        open_ = sum(pair.verdict == UNDECIDED for pair in shown)
        figures.append(
            Figure(
                svg=forest_svg(shown, table.rope, leader, f"forest{k}"),
                alt=f"Forest plot on {table.benchmark}: points of average accuracy by which "
                f"{leader} is ahead, n = {count(table.most, table.unit)}, 95 % t intervals. Least: "
                f"{first.b} {points(first.mean)} ({interval(first)}), most: {last.b} "
                f"{points(last.mean)}. {open_} of {len(shown)} undecided.",
                caption=f"{table.benchmark}: difference to the best mean"
                + (f", nearest {MOST_ROWS} of {len(pairs)}" if len(pairs) > MOST_ROWS else ""),
            )
        )
    return figures


def rank_figure(found: Ranks | None) -> Figure | None:
    """Return the critical-difference diagram, where it may be drawn."""
    if found is None:
        return None
    means = [float(value) for value in found.friedman.mean_ranks]
    order = sorted(range(len(means)), key=lambda i: means[i])
    best, worst = order[0], order[-1]
    return Figure(
        svg=ranks_svg(found, "ranks"),
        alt=f"Critical-difference diagram: mean ranks of {len(means)} strategies over "
        f"{found.benchmarks} benchmarks, 1 is best. Best: {found.strategies[best]} "
        f"{means[best]:.2f}, worst: {found.strategies[worst]} {means[worst]:.2f}. "
        f"{len(found.friedman.signflip_cliques)} groups that pairwise tests do not separate.",
        caption=f"Mean ranks over {found.benchmarks} benchmarks",
    )

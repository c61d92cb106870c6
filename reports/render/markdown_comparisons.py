"""Comparisons in Markdown."""

from __future__ import annotations

from cl_strategies.reports.comparison.against import Against
from cl_strategies.reports.comparison.components import HEADINGS as SPLIT_HEADINGS
from cl_strategies.reports.comparison.components import SplitTable
from cl_strategies.reports.comparison.streams import Wins
from cl_strategies.reports.render.markdown_parts import bullets, escape, table_text
from cl_strategies.reports.sections import changes
from cl_strategies.reports.sections.content import Content
from cl_strategies.reports.sections.pair_rows import HEADINGS, cells, explanation


def comparison_blocks(content: Content) -> list[str]:
    """Return the tables of pairs, and wins, ties and losses over the benchmarks."""
    blocks = []
    for table in content.comparisons:
        rows = [[pair.a, pair.b, *cells(pair, table)] for pair in table.pairs]
        blocks += [
            f"## Comparisons on {escape(table.benchmark)}",
            escape(explanation(table)),
            table_text(["First", "Second", *HEADINGS], rows, numbers_from=2),
        ]
    return blocks + (_wins(content.wins) if content.wins else [])


def against_blocks(found: Against | None) -> list[str]:
    """Return what changed since another report; nothing if none was named."""
    if found is None:
        return []
    rows = [[change.strategy, *changes.cells(change)] for change in found.changes]
    return [
        f"## Against {escape(found.name)}",
        bullets([escape(line) for line in changes.lines(found)]),
        table_text(["Strategy", *changes.HEADINGS], rows, numbers_from=3),
    ]


def split_blocks(tables: list[SplitTable]) -> list[str]:
    """Return the split of the variance for each benchmark."""
    blocks = []
    for table in tables:
        rows = [[item.strategy, *item.cells] for item in table.items]
        blocks += [
            f"## Variance of order and seed on {escape(table.benchmark)}",
            table_text(["Strategy", *SPLIT_HEADINGS], rows, numbers_from=1),
        ]
    return blocks


def _wins(found: Wins) -> list[str]:
    head = ["Strategy", *found.strategies, "All"]
    lines = [list(line) for line in found.lines]
    if found.compact:
        head, lines = ["Strategy", "All"], [[line[0], line[-1]] for line in lines]
    return [
        "## Wins, ties and losses",
        f"On how many of {found.benchmarks} benchmarks the strategy of the row is shown to be "
        "better than that of the column, neither is, or it is shown to be worse.",
        table_text(head, lines, numbers_from=1),
    ]

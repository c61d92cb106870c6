"""Comparisons in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from cl_strategies.reports.comparison.against import Against
from cl_strategies.reports.comparison.components import HEADINGS as SPLIT_HEADINGS
from cl_strategies.reports.comparison.components import SplitTable
from cl_strategies.reports.comparison.effects import HEADINGS as EFFECT_HEADINGS
from cl_strategies.reports.comparison.rates import HEADINGS as RATE_HEADINGS
from cl_strategies.reports.comparison.streams import Wins
from cl_strategies.reports.render.markdown_parts import bullets, escape, table_text
from cl_strategies.reports.sections import changes
from cl_strategies.reports.sections.content import Content
from cl_strategies.reports.sections.factors import FactorSection, rates_text
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


def factor_blocks(sections: Sequence[FactorSection]) -> list[str]:
    """Return what the factors of a suite do, and what bytes buy."""
    blocks = []
    for section in sections:
        name = escape(section.benchmark)
        if section.sentences:
            said = [escape(text) for text in section.sentences]
            blocks += [f"## Factors on {name}", bullets(said)]
        if section.rates:
            rows = [[rate.panel, rate.series, *rate.cells] for rate in section.rates]
            blocks += [f"## What bytes buy on {name}", escape(rates_text(section))]
            blocks.append(table_text(["Panel", "Line", *RATE_HEADINGS], rows, numbers_from=3))
        if section.effects:
            lines = [
                [table.strategy, effect.name, *effect.cells]
                for table in section.effects
                for effect in table.effects
            ]
            lines += [
                [table.strategy, f"not known: {table.note}", *[""] * len(EFFECT_HEADINGS)]
                for table in section.effects
                if not table.effects
            ]
            blocks.append(f"## Effects on the average accuracy, {name}")
            head = ["Strategy", "Factor", *EFFECT_HEADINGS]
            blocks.append(table_text(head, lines, numbers_from=2))
    return blocks


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

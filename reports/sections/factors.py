"""What the factors of a suite do: small multiples, and the gain over a reference in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.layout import Layout
from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.comparison.effects import EffectTable, effect_tables
from cl_strategies.reports.comparison.references import differences, interaction
from cl_strategies.reports.plots.factors.figures import facet_figures
from cl_strategies.reports.plots.figures import Figure


@dataclass(frozen=True, kw_only=True)
class FactorSection:
    """One benchmark of a factorial suite.

    :param sentences: how the gain over the reference of each panel changes along the axis.
    :param effects: of the factors of each strategy.
    :param figures: small multiples.
    """

    benchmark: str
    sentences: tuple[str, ...]
    effects: tuple[EffectTable, ...]
    figures: tuple[Figure, ...]


def factor_sections(
    layouts: Mapping[str, Layout], groups: Sequence[Group], rows: Sequence[SummaryRow]
) -> list[FactorSection]:
    """Return a section for each benchmark with facets."""
    sections = []
    for k, (benchmark, layout) in enumerate(layouts.items()):
        here = [group for group in groups if group.benchmark == benchmark]
        found = differences(layout, here)
        sentences = (interaction(layout, panel, lines) for panel, lines in found.items())
        sections.append(
            FactorSection(
                benchmark=benchmark,
                sentences=tuple(text for text in sentences if text),
                effects=tuple(effect_tables(here)),
                figures=tuple(facet_figures(layout, here, rows, found, k)),
            )
        )
    return sections

"""What the factors of a suite do: effects, what bytes buy, and the gain over a reference in
words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.layout import Layout
from cl_strategies.reports.comparison.effects import EffectTable, effect_tables
from cl_strategies.reports.comparison.rates import Rate, rates
from cl_strategies.reports.comparison.references import Difference, differences, interaction


@dataclass(frozen=True, kw_only=True)
class FactorSection:
    """One benchmark of a factorial suite.

    :param sentences: how the gain over the reference of each panel changes along the axis, and
        what share of the bytes is enough.
    :param effects: of the factors of each strategy.
    :param rates: what bytes buy, where the axis is a budget of them.
    :param differences: panel -> line -> its differences to the reference of the panel.
    """

    benchmark: str
    sentences: tuple[str, ...]
    effects: tuple[EffectTable, ...]
    rates: tuple[Rate, ...]
    differences: Mapping[str, Mapping[str, Sequence[Difference]]]


def factor_sections(layouts: Mapping[str, Layout], groups: Sequence[Group]) -> list[FactorSection]:
    """Return a section for each benchmark with facets."""
    sections = []
    for benchmark, layout in layouts.items():
        here = [group for group in groups if group.benchmark == benchmark]
        found, bought = differences(layout, here), rates(layout, here)
        sentences = [interaction(layout, panel, lines) for panel, lines in found.items()]
        sentences += [rate.sentence for rate in bought]
        sections.append(
            FactorSection(
                benchmark=benchmark,
                sentences=tuple(text for text in sentences if text),
                effects=tuple(effect_tables(here)),
                rates=tuple(bought),
                differences=found,
            )
        )
    return sections


def factor_data(section: FactorSection) -> dict[str, Any]:
    """Return a section as plain data."""
    data = asdict(section)
    for item, rate in zip(data["rates"], section.rates, strict=True):
        ends = rate.byte_ratio_interval
        item["byte_ratio"] = {"mean": rate.byte_ratio, "interval": ends}
    return data


def rates_text(section: FactorSection) -> str:
    """Say what the table of rates shows."""
    used = all(rate.measured for rate in section.rates)
    return (
        f"Curves of accuracy against the bytes {'used' if used else 'allowed'}, with straight "
        "lines between budgets, seed by seed: the mean vertical distance to the reference over "
        "the budgets of both, and the mean horizontal one over the accuracies that both reach. A "
        "byte ratio of 0.4: the same accuracy with 40 % of the bytes. It is not defined where a "
        "curve does not rise at every budget, or where no accuracy is shared; then the gain stands."
    )

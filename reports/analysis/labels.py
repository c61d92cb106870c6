"""Short labels of variants, unique on a benchmark: ``CIM, FOSTER, 1 MiB``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cl_strategies.registry import registry
from cl_strategies.reports.analysis.factors import Level, levels_of
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.tables import SummaryRow

HOST = "strategy.host"


@dataclass(frozen=True)
class Labels:
    """Short labels.

    :param short: (benchmark, label in ``summary.csv``) -> short label.
    """

    short: Mapping[tuple[str, str], str]

    def groups(self, groups: Sequence[Group]) -> list[Group]:
        """Return ``groups`` under their short labels."""
        return [replace(group, strategy=self.of(group)) for group in groups]

    def rows(self, rows: Sequence[SummaryRow]) -> list[SummaryRow]:
        """Return ``rows`` under their short labels."""
        return [replace(row, strategy=self.of(row)) for row in rows]

    def of(self, item: Group | SummaryRow) -> str:
        """Return the short label of a group or row."""
        return self.short.get((item.benchmark, item.strategy), item.strategy)

    def on(self, benchmark: str) -> Labels:
        """Return those of one benchmark."""
        return Labels({key: text for key, text in self.short.items() if key[0] == benchmark})

    @property
    def changed(self) -> list[tuple[str, str]]:
        """Short label and label in ``summary.csv``, where they differ."""
        pairs = {(short, label) for (_, label), short in self.short.items() if short != label}
        return sorted(pairs)


def labels_of(groups: Sequence[Group]) -> Labels:
    """Return short labels for the variants among ``groups``; other strategies keep their names."""
    short: dict[tuple[str, str], str] = {}
    for benchmark in {group.benchmark for group in groups}:
        here = [group for group in groups if group.benchmark == benchmark]
        levels = levels_of(here)
        made = {
            group.strategy: _label(group, levels[group.strategy])
            if levels[group.strategy]
            else group.strategy
            for group in here
        }
        texts = list(made.values())
        for label, text in made.items():
            unique = texts.count(text) == 1
            short[benchmark, label] = text if unique else label
    return Labels(short)


def _label(group: Group, levels: Sequence[Level]) -> str:
    return ", ".join([display(group.records[0].strategy), *map(level_text, in_order(levels))])


def in_order(levels: Sequence[Level]) -> list[Level]:
    """Return a host first, for it is named like the strategy; then names, then numbers."""
    return sorted(
        levels, key=lambda level: (level.number is not None, level.key != HOST, level.key)
    )


def level_text(level: Level) -> str:
    """Return the text of a level, a strategy (such as a host) as :func:`display` shows it."""
    named = level.key == HOST and isinstance(level.value, str)
    return display(level.value) if named else level.text


def display(strategy: str) -> str:
    """Return the name of a strategy as papers print it, where that is the registered name in
    capitals: ``CIM``, ``LwF``; else the registered name."""
    strategies = registry("strategies")
    if "-" in strategy or strategy not in strategies:
        return strategy
    name = strategies[strategy].factory.rpartition(":")[2]
    capitals = sum(letter.isupper() for letter in name)
    return name if name.lower() == strategy and capitals > 1 else strategy

"""Where the variants of a factorial suite stand: a panel, a line in it, and a place on its axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cl_strategies.reports.analysis.factors import BITS, Level, levels_of
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.labels import HOST, display, in_order, level_text

FEWEST_VARIANTS = 7
"""With fewer competitors one chart holds them all."""
MOST_PANELS = 16
OTHERS = "one line each"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one strategy stands.

    :param panel: title of its panel.
    :param series: its line in the panel.
    :param x: its place on the axis; ``None`` where there is no axis of a number, or it has none
        of its own (full precision, for instance).
    """

    panel: str
    series: str
    x: float | None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The facets of one benchmark.

    :param panels: their titles, those with most lines first.
    :param series: all lines, in the order of their colors.
    :param x: key of the factor on the axis; ``""`` if none is a number.
    :param ticks: place on the axis -> how it is shown.
    :param places: label of a strategy -> its place.
    :param references: labels that are drawn in every panel as level lines.
    """

    benchmark: str
    panels: tuple[str, ...]
    series: tuple[str, ...]
    x: str
    ticks: Mapping[float, str]
    places: Mapping[str, Place]
    references: tuple[str, ...]

    def lines(self, panel: str) -> dict[str, list[str]]:
        """Return the lines of a panel: series -> labels of its strategies, by place."""
        found: dict[str, list[str]] = {}
        for label, place in self.places.items():
            if place.panel == panel:
                found.setdefault(place.series, []).append(label)
        for labels in found.values():
            labels.sort(key=lambda label: self.places[label].x or 0.0)
        return {name: found[name] for name in self.series if name in found}

    def at(self, x: float) -> str:
        """Return a place in words: ``1 MiB``, ``2 bits``, ``alpha 0.9``."""
        if self.x == BITS:
            return f"{self.ticks[x]} bits"
        return self.ticks[x] if self.x.endswith("_bytes") else f"{self.axis} {self.ticks[x]}"

    @property
    def axis(self) -> str:
        """What the axis of places shows, in words."""
        name = self.x.rpartition(".")[2]
        return {BITS: "bits of a weight", "mem_bytes": "bytes of the memory"}.get(name, name)


def layouts_of(groups: Sequence[Group]) -> dict[str, Layout]:
    """Return the facets of each benchmark with enough variants."""
    found = {}
    for benchmark in sorted({group.benchmark for group in groups}):
        here = [group for group in groups if group.benchmark == benchmark and group.finished]
        layout = layout_of(here, benchmark)
        if layout is not None:
            found[benchmark] = layout
    return found


def layout_of(groups: Sequence[Group], benchmark: str) -> Layout | None:
    """Return the facets of ``groups``; ``None`` where a single chart is enough, or none fit.

    The axis is the number that most strategies vary. Of the other factors of a strategy the one
    with most levels (a host last) makes its lines, the rest its panel. Strategies with a single
    line share a panel.
    """
    levels = levels_of(groups)
    variants = [group for group in groups if levels[group.strategy]]
    if len(variants) < FEWEST_VARIANTS:
        return None
    key = _axis([levels[group.strategy] for group in variants])
    names = {group.strategy: group.records[0].strategy for group in variants}
    places = {label: _place(name, levels, label, names, key) for label, name in names.items()}
    counts = Counter(panel for panel, _ in {(p.panel, p.series) for p in places.values()})
    places = {label: _shared(place, counts[place.panel]) for label, place in places.items()}
    panels = sorted(
        {place.panel for place in places.values()},
        key=lambda panel: (panel == OTHERS, -counts[panel], panel),
    )
    if len(panels) > MOST_PANELS or len(places) < len(variants):
        return None
    used = [level for label in places for level in levels[label] if level.key == key]
    return Layout(
        benchmark=benchmark,
        panels=tuple(panels),
        series=tuple(sorted({place.series for place in places.values()})),
        x=key,
        ticks={
            level.number: level.text if key.endswith("_bytes") else f"{level.number:g}"
            for level in used
            if level.number is not None and not _full(level)
        },
        places=places,
        references=tuple(group.strategy for group in groups if group.strategy not in places),
    )


def _axis(levels: Sequence[Sequence[Level]]) -> str:
    """Return the key that is a number for most variants, with most values; ``""`` without one."""
    values: dict[str, set[float]] = {}
    counts: Counter[str] = Counter()
    for found in levels:
        for level in found:
            if level.number is not None:
                counts[level.key] += 1
                values.setdefault(level.key, set()).add(level.number)
    wide = [key for key in counts if counts[key] * 2 >= len(levels) and len(values[key]) > 1]
    return max(wide, key=lambda key: (counts[key], len(values[key]), key), default="")


def _place(
    name: str,
    levels: Mapping[str, Sequence[Level]],
    label: str,
    names: Mapping[str, str],
    key: str,
) -> Place:
    own = [level for level in in_order(levels[label]) if level.key != key]
    axis = [level for level in levels[label] if level.key == key]
    x = None if not axis or _full(axis[0]) else axis[0].number
    if not own:
        return Place(panel=display(name), series=_full_text(axis) or display(name), x=x)
    sizes = Counter(
        k
        for k, _ in {
            (level.key, level.text)
            for other, base in names.items()
            if base == name
            for level in levels[other]
        }
    )
    lines = max(
        own,
        key=lambda level: (sizes[level.key], level.number is None, level.key != HOST, level.key),
    )
    rest = [level_text(level) for level in own if level is not lines]
    return Place(panel=", ".join([display(name), *rest]), series=level_text(lines), x=x)


def _full(level: Level) -> bool:
    return level.key == BITS and level.text == "FP32"


def _full_text(axis: Sequence[Level]) -> str:
    return axis[0].text if axis and _full(axis[0]) else ""


def _shared(place: Place, lines: int) -> Place:
    """Return the place in the panel of all that have a single line."""
    if lines > 1:
        return place
    parts = [place.panel] if place.series in place.panel else [place.panel, place.series]
    return Place(panel=OTHERS, series=", ".join(parts), x=place.x)

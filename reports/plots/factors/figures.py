"""Small multiples of a factorial suite: a panel for each combination, the same axes in all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cl_strategies.reports.analysis.curves.experiences import seen_accuracy
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.layout import Layout
from cl_strategies.reports.analysis.stream_costs import Series, growth_curves
from cl_strategies.reports.analysis.summary_table import rows_of
from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.comparison.references import Difference, reference_of
from cl_strategies.reports.plots.alternatives import alternative, runs_of
from cl_strategies.reports.plots.cost import cost_svg
from cl_strategies.reports.plots.curves import curves_svg
from cl_strategies.reports.plots.factors.panels import Limits, Spot, facet_svg
from cl_strategies.reports.plots.figures import Figure
from cl_strategies.reports.plots.palette import Style, assign_styles
from cl_strategies.reports.plots.stream import stream_svg
from cl_strategies.results.formatting import plain, show
from cl_strategies.statistics.intervals import t_interval

_METRICS = (
    ("average_accuracy", "average accuracy", "%"),
    ("forgetting", "forgetting", "points"),
)
Styles = Mapping[str, Style]


def facet_figures(
    layout: Layout,
    groups: Sequence[Group],
    rows: Sequence[SummaryRow],
    differences: Mapping[str, Mapping[str, Sequence[Difference]]],
    k: int,
) -> list[Figure]:
    """Return the figures of one benchmark.

    :param groups: of the whole report.
    :param rows: of the whole report.
    :param differences: panel -> series -> its differences to the reference of the panel.
    :param k: number of the benchmark, for ids.
    """
    on = [group for group in groups if group.benchmark == layout.benchmark]
    here = {group.strategy: group for group in on if group.finished}
    styles = _styles(layout, here)
    figures = []
    for i, (metric, *words) in enumerate(_METRICS):
        found = [row for row in rows_of(rows, layout.benchmark, metric) if row.n]
        if any(row.strategy in layout.places for row in found):
            figures.append(_metric(layout, here, found, styles, words, f"{k}-{i}"))
    figures.insert(1, _differences(layout, differences, styles, k))
    figures.append(_curves(layout, here, styles, k))
    figures.append(_cost(layout, rows, styles, k))
    figures.append(_stored(layout, here, styles, k))
    return [figure for figure in figures if figure.panels]


def _styles(layout: Layout, here: Mapping[str, Group]) -> dict[str, Style]:
    """Colors and markers by line, the same in all panels; references have their own."""
    names = dict.fromkeys(layout.series, "")
    names |= {label: here[label].records[0].strategy for label in layout.references}
    return assign_styles(names)


def _metric(
    layout: Layout,
    here: Mapping[str, Group],
    rows: Sequence[SummaryRow],
    styles: Styles,
    words: Sequence[str],
    key: str,
) -> Figure:
    title, unit = words
    found = {row.strategy: row for row in rows}
    spots = {label: _spot(row, layout) for label, row in found.items() if label in layout.places}
    levels = {label: 100 * found[label].mean for label in layout.references if label in found}
    limits = _limits([*spots.values()], levels.values())
    panels = []
    for i, panel in enumerate(layout.panels):
        lines = _present(layout, panel, spots)
        svg = facet_svg(
            lines,
            levels,
            styles,
            f"facet{key}-{i}",
            ticks=layout.ticks,
            limits=limits,
            labels=(layout.axis, f"{title} ({unit})"),
        )
        panels.append((panel, svg))
    start = f"{_start(layout)} {title} ({unit}) on {layout.benchmark}; 95 % t intervals. Means"
    return Figure(
        svg="",
        alt=alternative(
            start,
            {label: row.mean for label, row in found.items()},
            lambda value: show(value, "fraction"),
            end=runs_of(list(here.values())),
        ),
        caption=f"{title[0].upper()}{title[1:]} by factors",
        panels=_drawn(panels),
    )


def _differences(
    layout: Layout,
    differences: Mapping[str, Mapping[str, Sequence[Difference]]],
    styles: Styles,
    k: int,
) -> Figure:
    spots = {
        panel: {
            name: [Spot(d.x, 100 * d.mean, _percent(d.interval)) for d in found]
            for name, found in lines.items()
        }
        for panel, lines in differences.items()
    }
    every = [spot for lines in spots.values() for found in lines.values() for spot in found]
    panels = []
    for i, (panel, lines) in enumerate(spots.items()):
        reference = reference_of(layout.lines(panel))
        svg = facet_svg(
            lines,
            {},
            styles,
            f"difference{k}-{i}",
            ticks=layout.ticks,
            limits=_limits(every, [-1.0, 1.0], floor=None),
            labels=(layout.axis, f"difference to {reference} (points)"),
            band=1.0,
        )
        panels.append((f"{panel}: against {reference}", svg))
    last = {
        f"{panel}, {name}": found[-1].mean / 100
        for panel, lines in spots.items()
        for name, found in lines.items()
        if found
    }
    return Figure(
        svg="",
        alt=alternative(
            f"{_start(layout)} paired difference of average accuracy to the reference of each "
            f"panel (points) on {layout.benchmark}; 95 % t intervals. At the end",
            last,
            lambda value: plain(100 * value, 1),
        ),
        caption="Paired difference of average accuracy to a reference",
        panels=_drawn(panels),
    )


def _curves(layout: Layout, here: Mapping[str, Group], styles: Styles, k: int) -> Figure:
    every = [here[label] for label in layout.places]
    known = {
        id(group.records): seen_accuracy(group) for group in every
    }  # each is drawn, and beside
    panels = []
    for i, panel in enumerate(layout.panels):
        for j, x in enumerate(sorted(layout.ticks) or [0.0]):
            labels = {
                name: label
                for name, found in layout.lines(panel).items()
                for label in found
                if not layout.ticks or layout.places[label].x in (x, None)
            }
            drawn = [replace(here[label], strategy=name) for name, label in labels.items()]
            title = f"{panel}, {layout.at(x)}" if layout.ticks else panel
            svg = curves_svg(
                drawn,
                styles,
                f"curves{k}-{i}-{j}",
                curve_of=lambda group: known[id(group.records)],
                beside=every,
            )
            panels.append((title, svg))
    return Figure(
        svg="",
        alt=alternative(
            "Small multiples of line charts: accuracy on tasks seen so far (%) after each task on "
            f"{layout.benchmark}; bands are one standard deviation. At the end",
            {
                label: float(known[id(here[label].records)].mean[-1])
                for label in layout.places
                if len(known[id(here[label].records)].mean)
            },
            lambda value: show(value, "fraction"),
        ),
        caption="Accuracy over tasks by factors",
        panels=_drawn(panels),
    )


def _cost(layout: Layout, rows: Sequence[SummaryRow], styles: Styles, k: int) -> Figure:
    accuracies = rows_of(rows, layout.benchmark, "average_accuracy")
    times = rows_of(rows, layout.benchmark, "train_seconds")
    panels = []
    for i, panel in enumerate(layout.panels):
        labels = {
            label: f"{name}, {layout.at(x)}" if (x := layout.places[label].x) is not None else name
            for name, found in layout.lines(panel).items()
            for label in found
        }
        points = [
            [replace(row, strategy=labels[row.strategy]) for row in some if row.strategy in labels]
            for some in (accuracies, times)
        ]
        own = {text: styles[layout.places[label].series] for label, text in labels.items()}
        panels.append((panel, cost_svg(points[0], points[1], own, f"cost{k}-{i}")))
    return Figure(
        svg="",
        alt=alternative(
            "Small multiples of scatter charts: average accuracy (%) against training time on "
            f"{layout.benchmark}, one standard deviation both ways. Training times",
            {row.strategy: row.mean for row in times if row.n},
            lambda value: show(value, "seconds"),
        ),
        caption="Accuracy against training time by factors",
        panels=_drawn(panels),
    )


def _stored(layout: Layout, here: Mapping[str, Group], styles: Styles, k: int) -> Figure:
    curves = growth_curves(list(here.values()))
    panels = []
    for i, panel in enumerate(layout.panels):
        last: dict[str, Series] = {
            name: curves[found[-1]]
            for name, found in layout.lines(panel).items()
            if found[-1] in curves
        }
        label = "stored, relative to one network"
        panels.append((panel, stream_svg(last, styles, f"stored{k}-{i}", label=label)))
    largest = f" at {layout.at(max(layout.ticks))}" if layout.ticks else ""
    return Figure(
        svg="",
        alt=alternative(
            "Small multiples of line charts: bytes of model and method state after each task on "
            f"{layout.benchmark}{largest}, relative to the network after the first. At the end",
            {label: float(curves[label][-1]) for label in layout.places if label in curves},
            lambda value: f"{plain(value, 2)} times",
        ),
        caption=f"Stored bytes after each task{largest}",
        panels=_drawn(panels),
    )


def _spot(row: SummaryRow, layout: Layout) -> Spot:
    interval = None
    if row.n > 1:
        low, high = (float(end) for end in t_interval(row.values))
        interval = 100 * max(low, -1.0), 100 * min(high, 1.0)
    runs = tuple(100 * value for value in row.values) if row.n > 1 else ()
    return Spot(layout.places[row.strategy].x, 100 * row.mean, interval, runs)


def _present(layout: Layout, panel: str, spots: Mapping[str, Spot]) -> dict[str, list[Spot]]:
    lines = {
        name: [spots[label] for label in labels if label in spots]
        for name, labels in layout.lines(panel).items()
    }
    return {name: found for name, found in lines.items() if found}


def _limits(spots: Sequence[Spot], others: Iterable[float], floor: float | None = 0.0) -> Limits:
    """Return limits that hold every mean and run, and intervals unless they are far wider."""
    inner = [value for spot in spots for value in (spot.mean, *spot.runs)]
    inner += list(others)
    low, high = min(inner), max(inner)
    span = max(high - low, 2.0)
    ends = [end for spot in spots for end in (spot.interval or ())]
    low = max(min([low, *ends]), low - span / 2)
    high = min(max([high, *ends]), high + span / 2)
    if high - low < 1.0:
        low, high = low - 0.5, high + 0.5
    margin = 0.04 * (high - low)
    if floor is not None:
        return max(low, min(floor, min(inner))) - margin, min(high, 100.5) + margin
    return low - margin, high + margin


def _percent(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (100 * interval[0], 100 * interval[1])


def _drawn(panels: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((title, svg) for title, svg in panels if svg)


def _start(layout: Layout) -> str:
    return f"Small multiples against {layout.axis or 'nothing'}:"

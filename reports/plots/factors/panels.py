"""One panel of a factorial suite: a metric over the levels of a factor, a line for each series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cl_strategies.reports.plots.palette import GRID, MUTED, Style
from cl_strategies.reports.plots.svg import (
    drawing_style,
    edged,
    label_ends,
    new_axes,
    shorten,
    text_width,
    to_svg,
)

_WIDTH, _HEIGHT, _LABEL = 3.9, 2.9, 8.0
Limits = tuple[float, float]


class Spot(NamedTuple):
    """One strategy in a panel.

    :param x: its place on the axis; ``None`` for a level line.
    :param mean: what is drawn, in percent or points.
    :param interval: its 95 % interval; ``None`` where it is not known.
    :param runs: single runs, drawn as faint dots.
    """

    x: float | None
    mean: float
    interval: tuple[float, float] | None
    runs: tuple[float, ...] = ()


def facet_svg(
    series: Mapping[str, Sequence[Spot]],
    levels: Mapping[str, float],
    styles: Mapping[str, Style],
    key: str,
    *,
    ticks: Mapping[float, str],
    limits: Limits,
    labels: tuple[str, str],
    band: float = 0.0,
) -> str:
    """Return a line for each series with 95 % intervals; ``""`` without any.

    Points of one place stand a little apart, so that their intervals can be told from each other.

    :param series: name of the line -> its spots, by place.
    :param levels: references, drawn as level lines: label -> value.
    :param styles: style of every series and reference.
    :param key: prefix of the SVG's ids.
    :param ticks: place -> how it is shown; empty where there is no axis.
    :param limits: of the vertical axis, the same in all panels.
    :param labels: of both axes.
    :param band: half the height of a band about 0: a difference that does not matter.
    """
    if not any(series.values()):
        return ""
    places = {x: float(k) for k, x in enumerate(sorted(ticks))} or {0.0: 0.0}
    names = [*series, *levels]
    height = max(_HEIGHT, 0.155 * len(names) + 0.8)
    with drawing_style():
        right = 0.36 + text_width([shorten(name) for name in names], _LABEL)
        axes = new_axes(_WIDTH, height, (0.5, right, 0.45, 0.12))
        axes.set_xlim(-0.4, max(places.values()) + 0.4)
        axes.set_ylim(*limits)
        axes.grid(False, axis="x")
        axes.xaxis.set_major_locator(FixedLocator(list(places.values())))
        axes.xaxis.set_minor_locator(NullLocator())
        texts = {place: ticks.get(x, "") for x, place in places.items()}
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: texts.get(value, "")))
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        if band:
            axes.axhspan(-band, band, color=GRID, linewidth=0)
            axes.axhline(0, color=MUTED, linewidth=0.9)
        ends: dict[str, tuple[float, float]] = {}
        last = max(places.values()) + 0.4
        for name, value in levels.items():
            style = styles[name]
            axes.axhline(value, color=style.light, linewidth=1.0, linestyle=style.line)
            ends[name] = (last, value)
        for k, (name, spots) in enumerate(series.items()):
            shift = 0.5 * (k - (len(series) - 1) / 2) / max(8, len(series))
            ends[name] = _line(axes, spots, styles[name], places, shift, last)
        label_ends(axes, ends, styles, _LABEL)
        return to_svg(axes, key, [styles[name] for name in names])


def _line(
    axes: Axes,
    spots: Sequence[Spot],
    style: Style,
    places: Mapping[float, float],
    shift: float,
    last: float,
) -> tuple[float, float]:
    """Draw one series and return where it ends."""
    level = [spot for spot in spots if spot.x is None and len(places) > 1]
    for spot in level:
        axes.axhline(spot.mean, color=style.light, linewidth=1.2, linestyle="--")
    drawn = [spot for spot in spots if spot not in level]
    if not drawn:
        return last, level[-1].mean
    x = [places.get(spot.x or 0.0, 0.0) + shift for spot in drawn]
    reach = [spot.interval or (spot.mean, spot.mean) for spot in drawn]
    axes.plot(
        [place for place, spot in zip(x, drawn, strict=True) for _ in spot.runs],
        [value for spot in drawn for value in spot.runs],
        linestyle="",
        marker="o",
        markersize=2.2,
        color=style.light,
        alpha=0.4,
    )
    axes.errorbar(
        x,
        [spot.mean for spot in drawn],
        yerr=[
            [max(0.0, spot.mean - low) for spot, (low, _) in zip(drawn, reach, strict=True)],
            [max(0.0, high - spot.mean) for spot, (_, high) in zip(drawn, reach, strict=True)],
        ],
        color=style.light,
        linestyle=style.line,
        linewidth=1.5,
        elinewidth=0.8,
        **edged(style, 5.0),
    )
    return x[-1], drawn[-1].mean

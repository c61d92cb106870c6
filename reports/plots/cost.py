"""What accuracy costs: training time, or what is stored, against average accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import Affine2D

from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.plots.palette import MUTED, Style
from cl_strategies.reports.plots.svg import (
    POINTS,
    Drawing,
    Label,
    drawing_style,
    edged,
    new_axes,
    shorten,
    text_width,
)
from cl_strategies.results.formatting import scale_of

_WIDTH, _HEIGHT, _LABEL = 4.8, 3.3, 8.0
_MARGINS = (0.5, 0.15, 0.45, 0.15)
_LOG_FROM = 8.0
_FROM_POINT = 5.0
"""How far a leader stays from its point, in points of the page."""
_SHORTEST = 1e-9  # no clock measures less, and logarithms of nearly nothing have no place
Box = tuple[float, float, float, float]
Whisker = list[tuple[float, float]]


class CostAxis(NamedTuple):
    """The horizontal axis.

    :param label: what it shows.
    :param unit: ``"seconds"``, ``"number"`` and so on: that of the costs.
    """

    label: str
    unit: str


TIME = CostAxis("training time of the whole stream", "seconds")


def cost_svg(
    accuracies: Sequence[SummaryRow],
    costs: Sequence[SummaryRow],
    styles: Mapping[str, Style],
    key: str,
    *,
    axis: CostAxis = TIME,
    methods: Mapping[str, str] | None = None,
) -> str:
    """Return :func:`draw_cost` as SVG; ``""`` if costs were not recorded.

    :param key: prefix of the SVG's ids.
    """
    drawing = draw_cost(accuracies, costs, styles, axis=axis, methods=methods)
    return "" if drawing is None else drawing.svg(key, styles)


def draw_cost(
    accuracies: Sequence[SummaryRow],
    costs: Sequence[SummaryRow],
    styles: Mapping[str, Style],
    *,
    axis: CostAxis = TIME,
    methods: Mapping[str, str] | None = None,
) -> Drawing | None:
    """Draw one point for each strategy; ``None`` if costs were not recorded.

    :param accuracies: rows of the metric ``average_accuracy`` on one benchmark.
    :param costs: rows of what is on the horizontal axis, on the same benchmark.
    :param styles: label of a strategy -> its style.
    :param axis: what the costs are.
    :param methods: label of a strategy -> the method that it is a variant of: the variants of one
        are joined by a line, from the cheapest to the dearest.
    """
    cost_of = {row.strategy: row for row in costs if row.n and row.mean >= _SHORTEST}
    drawn = [
        (row, cost_of[row.strategy]) for row in accuracies if row.n and row.strategy in cost_of
    ]
    if not drawn:
        return None
    with drawing_style():
        axes = new_axes(_WIDTH, _HEIGHT, _MARGINS)
        size, unit = _set_axes(axes, drawn, axis)
        whiskers = _draw_spreads(axes, drawn, styles, size)
        _join(axes, drawn, styles, size, methods or {})
        for accuracy, time in drawn:
            marks = edged(styles[accuracy.strategy], 8)
            axes.plot([time.mean / size], [100 * accuracy.mean], linestyle="", **marks)
        axes.set_xlabel(f"{axis.label} ({unit})" if unit else axis.label)
        axes.set_ylabel("average accuracy (%)")
        points = [(a.strategy, t.mean / size, 100 * a.mean) for a, t in drawn]
        _place_labels(axes, points, whiskers)
        return Drawing(axes, [row.strategy for row, _ in drawn])


def _draw_spreads(
    axes: Axes,
    drawn: Sequence[tuple[SummaryRow, SummaryRow]],
    styles: Mapping[str, Style],
    size: float,
) -> list[Whisker]:
    """Draw a cross of one standard deviation to either side, where they are known.

    :return: the ends of each line, in data coordinates.
    """
    lines: list[Whisker] = []
    colors = []
    for accuracy, time in drawn:
        x, y = time.mean / size, 100 * accuracy.mean
        dx, dy = _below(time.std, time.mean) / size, 100 * accuracy.std
        for ends in ([(x - dx, y), (x + dx, y)], [(x, y - dy), (x, y + dy)]):
            if not any(math.isnan(value) for end in ends for value in end):
                lines.append(ends)
                colors.append(styles[accuracy.strategy].light)
    axes.add_collection(LineCollection(lines, colors=colors, linewidths=1), autolim=False)
    return lines


def _below(std: float, mean: float) -> float:
    """Return a whisker that does not reach zero, where a logarithmic axis has no place."""
    return std if math.isnan(std) else min(std, 0.95 * mean)


def _join(
    axes: Axes,
    drawn: Sequence[tuple[SummaryRow, SummaryRow]],
    styles: Mapping[str, Style],
    size: float,
    methods: Mapping[str, str],
) -> None:
    named = [(methods[a.strategy], c.mean, a) for a, c in drawn if a.strategy in methods]
    named.sort(key=lambda item: item[:2])
    for _, variants in groupby(named, key=lambda item: item[0]):
        points = [(cost / size, 100 * row.mean, row.strategy) for _, cost, row in variants]
        x, y, labels = zip(*points, strict=True)
        if len(points) > 1:
            axes.plot(x, y, color=styles[labels[0]].light, linewidth=0.8, zorder=1)


def _set_axes(
    axes: Axes, drawn: Sequence[tuple[SummaryRow, SummaryRow]], axis: CostAxis
) -> tuple[float, str]:
    costs = [cost.mean for _, cost in drawn]
    size, unit = scale_of(axis.unit, max(costs))
    low, high = min(costs) / size, max(costs) / size
    if high / low > _LOG_FROM:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.6, high * 2.6)
        ticks = [
            m * 10.0**e
            for e in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
            for m in (1, 2, 5)
        ]
        axes.xaxis.set_major_locator(
            FixedLocator([t for t in ticks if low / 1.6 <= t <= high * 2.6])
        )
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.set_xlim(0, 1.25 * high)
    percents = [100 * row.mean for row, _ in drawn]
    margin = max(0.12 * (max(percents) - min(percents)), 2.0)
    axes.set_ylim(max(-2.0, min(percents) - margin), min(102.0, max(percents) + margin))
    return size, unit


def _place_labels(
    axes: Axes, points: Sequence[tuple[str, float, float]], whiskers: Sequence[Whisker]
) -> None:
    """Put each name where it covers no point, no whisker and no other name, if it can be."""
    centres = [axes.transData.transform((x, y)) for _, x, y in points]
    scale = POINTS / axes.figure.dpi
    spots = [(float(x) * scale, float(y) * scale) for x, y in centres]
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    for (x1, y1), (x2, y2) in whiskers:
        ends = axes.transData.transform([(x1, y1), (x2, y2)]) * scale
        low_end, high_end = ends.min(axis=0), ends.max(axis=0)
        taken.append((low_end[0] - 1, low_end[1] - 1, high_end[0] + 1, high_end[1] + 1))
    inside = (
        _MARGINS[0] * POINTS,
        _MARGINS[2] * POINTS,
        (_WIDTH - _MARGINS[1]) * POINTS,
        (_HEIGHT - _MARGINS[3]) * POINTS,
    )
    points_on_page = Affine2D().scale(1 / POINTS) + axes.figure.dpi_scale_trans
    leaders = []
    for (name, _, _), (px, py) in zip(points, spots, strict=True):
        label = shorten(name)
        width, height = text_width([label], _LABEL) * POINTS + 4, _LABEL + 2
        places = _candidates(width, height)
        dx, dy = places[_cheapest(np.array(places), px, py, width, height, np.array(taken), inside)]
        taken.append((px + dx, py + dy - height / 2, px + dx + width, py + dy + height / 2))
        left, low, right, high = taken[-1]
        axes.add_artist(Label(label, (left, py + dy), points_on_page, size=_LABEL))
        if math.hypot(dx + (width if dx < 0 else 0), dy) > 16:
            end = (min(max(px, left), right), min(max(py, low), high))
            share = _FROM_POINT / math.dist((px, py), end)
            leaders.append([(px + share * (end[0] - px), py + share * (end[1] - py)), end])
    lines = LineCollection(
        leaders, colors=MUTED, linewidths=0.6, transform=points_on_page, clip_on=False
    )
    axes.add_collection(lines, autolim=False)


def _candidates(width: float, height: float) -> list[tuple[float, float]]:
    near = [(8.0, 0.0), (6.0, 8.0), (6.0, -8.0), (-width / 2, 12.0), (-width / 2, -12.0)]
    near += [(-8 - width, 0.0), (-6 - width, 8.0), (-6 - width, -8.0)]
    far = [
        (side, rise * height)
        for rise in (2, -2, 3, -3, 4, -4, 5, -5)
        for side in (10.0, -width / 2, -10.0 - width)
    ]
    return near + far


def _cheapest(
    candidates: npt.NDArray[np.float64],
    x: float,
    y: float,
    width: float,
    height: float,
    taken: npt.NDArray[np.float64],
    inside: Box,
) -> int:
    """Return which place covers least of what is taken (or lies outside), and of these the nearest.

    :param candidates: places of the label's left end, relative to the point (x, y) (C, 2).
    :param taken: left, bottom, right and top of what must not be covered (B, 4).
    """
    left, middle = x + candidates[:, 0], y + candidates[:, 1]
    low, high, right = middle - height / 2, middle + height / 2, left + width
    wide = np.minimum.outer(right, taken[:, 2]) - np.maximum.outer(left, taken[:, 0])
    tall = np.minimum.outer(high, taken[:, 3]) - np.maximum.outer(low, taken[:, 1])
    overlap = (wide.clip(0) * tall.clip(0)).sum(axis=1)
    outside = (inside[0] - left).clip(0) + (right - inside[2]).clip(0)
    outside += (inside[1] - low).clip(0) + (high - inside[3]).clip(0)
    return int(np.lexsort((np.hypot(*candidates.T), overlap + 20 * outside))[0])

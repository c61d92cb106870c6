"""What accuracy costs: training time against average accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cl_strategies.reports.drawing import (
    POINTS,
    drawing_style,
    edged,
    new_axes,
    shorten,
    text_width,
    to_svg,
)
from cl_strategies.reports.formatting import scale_of
from cl_strategies.reports.palette import MUTED, Style
from cl_strategies.reports.tables import SummaryRow

_WIDTH, _HEIGHT, _LABEL = 4.8, 3.3, 8.0
_MARGINS = (0.5, 0.15, 0.45, 0.15)
_LOG_FROM = 8.0
_SHORTEST = 1e-9  # no clock measures less, and logarithms of nearly nothing have no place
Box = tuple[float, float, float, float]


def cost_svg(
    accuracies: Sequence[SummaryRow],
    times: Sequence[SummaryRow],
    styles: Mapping[str, Style],
    key: str,
) -> str:
    """One point for each strategy; ``""`` if times were not recorded.

    :param accuracies: rows of the metric ``average_accuracy`` on one benchmark.
    :param times: rows of the metric ``train_seconds`` on the same benchmark.
    :param styles: label of a strategy -> its style.
    :param key: prefix of the SVG's ids.
    """
    time_of = {row.strategy: row for row in times if row.n and row.mean >= _SHORTEST}
    drawn = [
        (row, time_of[row.strategy]) for row in accuracies if row.n and row.strategy in time_of
    ]
    if not drawn:
        return ""
    with drawing_style():
        axes = new_axes(_WIDTH, _HEIGHT, _MARGINS)
        size, unit = _set_axes(axes, drawn)
        for accuracy, time in drawn:
            style = styles[accuracy.strategy]
            axes.errorbar(
                time.mean / size,
                100 * accuracy.mean,
                xerr=None if math.isnan(time.std) else _below(time.std, time.mean) / size,
                yerr=None if math.isnan(accuracy.std) else 100 * accuracy.std,
                color=style.light,
                ecolor=style.light,
                elinewidth=1,
                linestyle="",
                **edged(style, 8),
            )
        axes.set_xlabel(f"training time of the whole stream ({unit})")
        axes.set_ylabel("average accuracy (%)")
        _place_labels(axes, [(a.strategy, t.mean / size, 100 * a.mean) for a, t in drawn])
        return to_svg(axes, key, [styles[row.strategy] for row, _ in drawn])


def _below(std: float, mean: float) -> float:
    """A whisker that does not reach zero, where a logarithmic axis has no place."""
    return min(std, 0.95 * mean)


def _set_axes(axes: Axes, drawn: Sequence[tuple[SummaryRow, SummaryRow]]) -> tuple[float, str]:
    seconds = [time.mean for _, time in drawn]
    size, unit = scale_of("seconds", max(seconds))
    low, high = min(seconds) / size, max(seconds) / size
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


def _place_labels(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Put each name where it covers no point and no other name, if there is such a place."""
    centres = [axes.transData.transform((x, y)) for _, x, y in points]
    scale = POINTS / axes.figure.dpi
    spots = [(float(x) * scale, float(y) * scale) for x, y in centres]
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    inside = (
        _MARGINS[0] * POINTS,
        _MARGINS[2] * POINTS,
        (_WIDTH - _MARGINS[1]) * POINTS,
        (_HEIGHT - _MARGINS[3]) * POINTS,
    )
    for (name, x, y), (px, py) in zip(points, spots, strict=True):
        label = shorten(name)
        width, height = text_width([label], _LABEL) * POINTS + 4, _LABEL + 2
        best = min(
            _candidates(width, height), key=lambda c: _cost(c, px, py, width, height, taken, inside)
        )
        dx, dy = best
        taken.append((px + dx, py + dy - height / 2, px + dx + width, py + dy + height / 2))
        far = math.hypot(dx + (width if dx < 0 else 0), dy) > 16
        axes.annotate(
            label,
            xy=(x, y),
            xytext=(dx, dy),
            textcoords="offset points",
            va="center",
            size=_LABEL,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkB": 5}
            if far
            else None,
        )


def _candidates(width: float, height: float) -> list[tuple[float, float]]:
    near = [(8.0, 0.0), (6.0, 8.0), (6.0, -8.0), (-width / 2, 12.0), (-width / 2, -12.0)]
    near += [(-8 - width, 0.0), (-6 - width, 8.0), (-6 - width, -8.0)]
    far = [
        (side, rise * height)
        for rise in (2, -2, 3, -3, 4, -4, 5, -5)
        for side in (10.0, -width / 2, -10.0 - width)
    ]
    return near + far


def _cost(
    candidate: tuple[float, float],
    x: float,
    y: float,
    width: float,
    height: float,
    taken: Sequence[Box],
    inside: Box,
) -> tuple[float, float]:
    left, middle = x + candidate[0], y + candidate[1]
    box = (left, middle - height / 2, left + width, middle + height / 2)
    overlap = sum(
        max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
        * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
        for other in taken
    )
    outside = max(0.0, inside[0] - box[0]) + max(0.0, box[2] - inside[2])
    outside += max(0.0, inside[1] - box[1]) + max(0.0, box[3] - inside[3])
    return overlap + 20 * outside, math.hypot(candidate[0], candidate[1])

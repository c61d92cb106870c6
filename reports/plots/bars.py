"""Horizontal bars: forgetting with its spread, and bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.plots.palette import INK, MUTED, SURFACE, Style
from cl_strategies.reports.plots.svg import (
    Drawing,
    Label,
    drawing_style,
    new_axes,
    shorten,
    text_width,
)
from cl_strategies.results.formatting import plain, scale_of, show

_WIDTH, _ROW, _LABEL = 4.8, 0.28, 8.0


def forgetting_svg(rows: Sequence[SummaryRow], styles: Mapping[str, Style], key: str) -> str:
    """Return :func:`draw_forgetting` as SVG; ``""`` if it is nowhere defined.

    :param key: prefix of the SVG's ids.
    """
    drawing = draw_forgetting(rows, styles)
    return "" if drawing is None else drawing.svg(key, styles)


def draw_forgetting(rows: Sequence[SummaryRow], styles: Mapping[str, Style]) -> Drawing | None:
    """Draw the forgetting of each strategy, least at the top; ``None`` if it is nowhere defined.

    Bars are means, whiskers one standard deviation, dots the single runs.

    :param rows: rows of the metric ``forgetting`` on one benchmark.
    :param styles: label of a strategy -> its style.
    """
    drawn = sorted((row for row in rows if row.n), key=lambda row: (row.mean, row.strategy))
    if not drawn:
        return None
    with drawing_style():
        axes = _bar_axes([row.strategy for row in drawn], "forgetting (percentage points)")
        reach = max(100 * max(*row.values, row.mean + _known(row.std)) for row in drawn)
        least = min(0.0, *(100 * min(*row.values, row.mean - _known(row.std)) for row in drawn))
        axes.set_xlim(1.06 * least, max(reach, 1.0) * 1.14)
        room = (max(reach, 1.0) * 1.14 - 1.06 * least) / 60
        colors = [styles[row.strategy].light for row in drawn]
        means = [100 * row.mean for row in drawn]
        _draw_bars(axes, [0.0] * len(drawn), means, colors, 0.8)
        spreads = [(y, row) for y, row in enumerate(drawn) if not math.isnan(row.std)]
        if spreads:
            axes.errorbar(
                [100 * row.mean for _, row in spreads],
                [y for y, _ in spreads],
                xerr=[100 * row.std for _, row in spreads],
                color=INK,
                linestyle="",
                elinewidth=1,
                capsize=2.5,
            )
        axes.plot(
            [100 * value for row in drawn if row.n > 1 for value in row.values],
            [y for y, row in enumerate(drawn) if row.n > 1 for _ in row.values],
            linestyle="",
            marker="o",
            markersize=3.6,
            markerfacecolor=INK,
            markeredgecolor=SURFACE,
            markeredgewidth=0.6,
            zorder=4,
        )
        for y, row in enumerate(drawn):
            end = 100 * max(0.0, *row.values, row.mean + _known(row.std))
            text, place = plain(100 * row.mean, 1), (end + room, y)
            axes.add_artist(Label(text, place, axes.transData, size=_LABEL))
        return Drawing(axes, [row.strategy for row in drawn])


def memory_svg(
    parameters: Sequence[SummaryRow],
    states: Sequence[SummaryRow],
    styles: Mapping[str, Style],
    key: str,
) -> str:
    """Return :func:`draw_memory` as SVG; ``""`` if no bytes were recorded.

    :param key: prefix of the SVG's ids.
    """
    drawing = draw_memory(parameters, states, styles)
    return "" if drawing is None else drawing.svg(key, styles)


def draw_memory(
    parameters: Sequence[SummaryRow], states: Sequence[SummaryRow], styles: Mapping[str, Style]
) -> Drawing | None:
    """Draw bytes of parameters and of method state, stacked; ``None`` if none were recorded.

    :param parameters: rows of the metric ``parameter_bytes`` on one benchmark.
    :param states: rows of the metric ``method_state_bytes`` on the same benchmark.
    """
    state_of = {row.strategy: row.mean for row in states if row.n}
    drawn = [
        (row.strategy, row.mean, state_of.get(row.strategy, 0.0)) for row in parameters if row.n
    ]
    drawn.sort(key=lambda item: (item[1] + item[2], item[0]))
    if not drawn:
        return None
    with drawing_style():
        largest = max(own + state for _, own, state in drawn)
        size, unit = scale_of("bytes", largest)
        axes = _bar_axes(
            [name for name, _, _ in drawn], f"memory at the end of the stream ({unit})"
        )
        axes.set_xlim(0, 1.42 * max(largest / size, 1e-9))
        owns = [own / size for _, own, _ in drawn]
        kept = [state / size for _, _, state in drawn]
        colors = [styles[name].light for name, _, _ in drawn]
        _draw_bars(axes, [0.0] * len(drawn), owns, [MUTED] * len(drawn), 0.35)
        _draw_bars(axes, owns, kept, colors, 0.85)
        for y, (_, own, state) in enumerate(drawn):
            text = show(own, "bytes") + (f" + {show(state, 'bytes')}" if state else "")
            place = ((own + state + 0.015 * largest) / size, y)
            axes.add_artist(Label(text, place, axes.transData, size=7.5))
        return Drawing(axes, [name for name, _, _ in drawn])


def _known(std: float) -> float:
    return 0.0 if math.isnan(std) else std


def _draw_bars(
    axes: Axes,
    starts: Sequence[float],
    lengths: Sequence[float],
    colors: Sequence[str],
    alpha: float,
) -> None:
    """A bar in each row, all as one collection: matplotlib's bars are an artist each."""
    corners = [
        [
            (start, y - 0.31),
            (start + length, y - 0.31),
            (start + length, y + 0.31),
            (start, y + 0.31),
        ]
        for y, (start, length) in enumerate(zip(starts, lengths, strict=True))
    ]
    bars = PolyCollection(corners, facecolors=colors, alpha=alpha, linewidths=0)
    axes.add_collection(bars, autolim=False)


def _bar_axes(names: Sequence[str], title: str) -> Axes:
    labels = [shorten(name) for name in names]
    left = 0.2 + text_width(labels, _LABEL)
    height = _ROW * len(names) + 0.55
    axes = new_axes(_WIDTH, height, (left, 0.12, 0.45, 0.1))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks([])
    beside = axes.get_yaxis_transform()
    for y, label in enumerate(labels):
        axes.add_artist(Label(label, (-0.012, y), beside, size=_LABEL, anchor="end"))
    axes.spines[:].set_visible(False)
    axes.axvline(0, color=MUTED, linewidth=0.7)
    axes.set_xlabel(title)
    return axes

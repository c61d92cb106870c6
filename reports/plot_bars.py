"""Horizontal bars: forgetting with its spread, and bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from cl_strategies.reports.drawing import drawing_style, new_axes, shorten, text_width, to_svg
from cl_strategies.reports.formatting import plain, scale_of, show
from cl_strategies.reports.palette import INK, MUTED, SURFACE, Style
from cl_strategies.reports.tables import SummaryRow

_WIDTH, _ROW, _LABEL = 4.8, 0.28, 8.0


def forgetting_svg(rows: Sequence[SummaryRow], styles: Mapping[str, Style], key: str) -> str:
    """Forgetting of each strategy, least at the top; ``""`` if it is nowhere defined.

    Bars are means, whiskers one standard deviation, dots the single runs.

    :param rows: rows of the metric ``forgetting`` on one benchmark.
    :param styles: label of a strategy -> its style.
    :param key: prefix of the SVG's ids.
    """
    drawn = sorted((row for row in rows if row.n), key=lambda row: (row.mean, row.strategy))
    if not drawn:
        return ""
    with drawing_style():
        axes = _bar_axes([row.strategy for row in drawn], "forgetting (percentage points)")
        reach = max(100 * max(*row.values, row.mean + _known(row.std)) for row in drawn)
        least = min(0.0, *(100 * min(*row.values, row.mean - _known(row.std)) for row in drawn))
        axes.set_xlim(1.06 * least, max(reach, 1.0) * 1.14)
        room = (max(reach, 1.0) * 1.14 - 1.06 * least) / 60
        for y, row in enumerate(drawn):
            style = styles[row.strategy]
            axes.barh(y, 100 * row.mean, height=0.62, color=style.light, alpha=0.8, linewidth=0)
            if not math.isnan(row.std):
                axes.errorbar(
                    100 * row.mean, y, xerr=100 * row.std, color=INK, linewidth=1, capsize=2.5
                )
            if row.n > 1:
                axes.plot(
                    [100 * value for value in row.values],
                    [y] * row.n,
                    linestyle="",
                    marker="o",
                    markersize=3.6,
                    markerfacecolor=INK,
                    markeredgecolor=SURFACE,
                    markeredgewidth=0.6,
                    zorder=4,
                )
            end = 100 * max(0.0, *row.values, row.mean + _known(row.std))
            axes.text(end + room, y, plain(100 * row.mean, 1), va="center", size=_LABEL)
        return to_svg(axes, key, [styles[row.strategy] for row in drawn])


def memory_svg(
    parameters: Sequence[SummaryRow],
    states: Sequence[SummaryRow],
    styles: Mapping[str, Style],
    key: str,
) -> str:
    """Bytes of parameters and of method state, stacked; ``""`` if none were recorded.

    :param parameters: rows of the metric ``parameter_bytes`` on one benchmark.
    :param states: rows of the metric ``method_state_bytes`` on the same benchmark.
    """
    state_of = {row.strategy: row.mean for row in states if row.n}
    drawn = [
        (row.strategy, row.mean, state_of.get(row.strategy, 0.0)) for row in parameters if row.n
    ]
    drawn.sort(key=lambda item: (item[1] + item[2], item[0]))
    if not drawn:
        return ""
    with drawing_style():
        largest = max(own + state for _, own, state in drawn)
        size, unit = scale_of("bytes", largest)
        axes = _bar_axes(
            [name for name, _, _ in drawn], f"memory at the end of the stream ({unit})"
        )
        axes.set_xlim(0, 1.42 * max(largest / size, 1e-9))
        for y, (name, own, state) in enumerate(drawn):
            axes.barh(y, own / size, height=0.62, color=MUTED, alpha=0.35, linewidth=0)
            axes.barh(
                y,
                state / size,
                left=own / size,
                height=0.62,
                color=styles[name].light,
                alpha=0.85,
                linewidth=0,
            )
            text = show(own, "bytes") + (f" + {show(state, 'bytes')}" if state else "")
            axes.text((own + state + 0.015 * largest) / size, y, text, va="center", size=7.5)
        return to_svg(axes, key, [styles[name] for name, _, _ in drawn])


def _known(std: float) -> float:
    return 0.0 if math.isnan(std) else std


def _bar_axes(names: Sequence[str], title: str) -> Axes:
    labels = [shorten(name) for name in names]
    left = 0.2 + text_width(labels, _LABEL)
    height = _ROW * len(names) + 0.55
    axes = new_axes(_WIDTH, height, (left, 0.12, 0.45, 0.1))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), labels, size=_LABEL, color=INK)
    axes.grid(False, axis="y")
    axes.spines[:].set_visible(False)
    axes.axvline(0, color=MUTED, linewidth=0.7)
    axes.set_xlabel(title)
    return axes

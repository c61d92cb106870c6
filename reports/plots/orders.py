"""Order disparity: one box over the tasks for each strategy, with every task by its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cl_strategies.reports.analysis.orders import Disparity
from cl_strategies.reports.plots.palette import INK, MUTED, SURFACE, Style
from cl_strategies.reports.plots.svg import (
    POINTS,
    drawing_style,
    new_axes,
    shorten,
    spread,
    text_width,
    to_svg,
)

_WIDTH, _ROW, _LABEL, _NUMBER = 4.8, 0.46, 8.0, 6.5
_MANY = 20
"""With more tasks than this their numbers would cover each other."""


def disparity_svg(items: Sequence[Disparity], styles: Mapping[str, Style], key: str) -> str:
    """Boxes of the order disparity of the tasks (quartiles; whiskers to least and most).

    Dots are the tasks, with their original index above; the diamond is the mean (AOPD), the end
    of the upper whisker the maximum (MOPD).

    :param items: of one benchmark, the first at the top.
    :param styles: label of a strategy -> its style.
    :param key: prefix of the SVG's ids.
    """
    if not items:
        return ""
    with drawing_style():
        names = [shorten(item.strategy) for item in items]
        left = 0.2 + text_width(names, _LABEL)
        axes = new_axes(_WIDTH, _ROW * len(items) + 0.55, (left, 0.15, 0.45, 0.1))
        high = max(1.0, 100 * max(item.maximum for item in items))
        axes.set_xlim(-0.03 * high, 1.06 * high)
        axes.set_ylim(len(items) - 0.5, -0.55)
        axes.set_yticks(range(len(items)), names, size=_LABEL, color=INK)
        axes.grid(False, axis="y")
        axes.spines[:].set_visible(False)
        axes.axvline(0, color=MUTED, linewidth=0.7)
        axes.set_xlabel("max - min over the orders (percentage points)")
        gap = _NUMBER * 0.95 * 1.09 * high / ((_WIDTH - left - 0.15) * POINTS)
        for y, item in enumerate(items):
            style, values = styles[item.strategy], [100 * value for value in item.per_task]
            least, first, median, third, most = np.percentile(values, (0, 25, 50, 75, 100))
            axes.plot([least, most], [y, y], color=MUTED, linewidth=0.9)
            axes.barh(y, third - first, 0.36, first, color=style.light, alpha=0.45, linewidth=0)
            axes.plot([median, median], [y - 0.18, y + 0.18], color=INK, linewidth=1.2)
            axes.plot(
                [100 * item.average],
                [y],
                marker="D",
                markersize=5,
                markerfacecolor=SURFACE,
                markeredgecolor=INK,
                zorder=5,
            )
            axes.plot(values, [y] * len(values), "o", markersize=2.6, color=INK, zorder=4)
            if item.floor is not None:
                tick = [100 * item.floor] * 2
                axes.plot(tick, [y - 0.24, y + 0.24], color=MUTED, linewidth=1.6, linestyle=":")
            if len(values) <= _MANY:
                places = spread(values, gap, -0.02 * high, 1.05 * high)
                for task, place in enumerate(places):
                    number = axes.text(place, y - 0.34, str(task), size=_NUMBER, color=MUTED)
                    number.set(ha="center", va="center")
        return to_svg(axes, key, [styles[item.strategy] for item in items])

"""What is known of the tasks seen so far, over the tasks, with a band for the seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, MultipleLocator

from cl_strategies.reports.analysis.curves.experiences import Curve, seen_accuracy
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.plots.palette import Style
from cl_strategies.reports.plots.svg import (
    Drawing,
    drawing_style,
    edged,
    label_ends,
    new_axes,
    shorten,
    text_width,
)

_WIDTH, _HEIGHT, _LABEL = 4.8, 3.3, 8.0
_CROWD = 10
"""With more curves than this their bands would hide each other."""


def curves_svg(groups: Sequence[Group], styles: Mapping[str, Style], key: str, **more: Any) -> str:
    """Return :func:`draw_curves` as SVG; ``""`` if no run finished.

    :param key: prefix of the SVG's ids.
    """
    drawing = draw_curves(groups, styles, **more)
    return "" if drawing is None else drawing.svg(key, styles)


def draw_curves(
    groups: Sequence[Group],
    styles: Mapping[str, Style],
    *,
    curve_of: Callable[[Group], Curve] = seen_accuracy,
    label: str = "accuracy on tasks seen so far (%)",
    beside: Sequence[Group] = (),
) -> Drawing | None:
    """Draw curves of all strategies on one benchmark; ``None`` if no run finished.

    :param groups: the strategies on one benchmark.
    :param styles: label of a strategy -> its style.
    :param curve_of: what is drawn.
    :param label: what it is, for the axis.
    :param beside: groups of other panels, which are not drawn and share the axes.
    """
    drawn = {group.strategy: curve_of(group) for group in groups if group.finished}
    drawn = {name: curve for name, curve in drawn.items() if np.isfinite(curve.mean[-1:]).all()}
    if not drawn:
        return None
    names = [shorten(name) for name in drawn]
    height = max(_HEIGHT, 0.155 * len(drawn) + 0.9)
    with drawing_style():
        right = 0.36 + text_width(names, _LABEL)
        axes = new_axes(_WIDTH, height, (0.5, right, 0.45, 0.12))
        tasks = max(len(curve.mean) for curve in drawn.values())
        others = [curve_of(group) for group in beside if group.finished]
        known = [curve for curve in others if np.isfinite(curve.mean[-1:]).all()]
        _set_limits(axes, [*drawn.values(), *known], tasks)
        axes.set_ylabel(label)
        for name, curve in drawn.items():
            _draw(axes, curve, styles[name], 0.14 if len(drawn) <= _CROWD else 0.05)
        ends = {n: (len(c.mean), 100 * float(c.mean[-1])) for n, c in drawn.items()}
        label_ends(axes, ends, styles, _LABEL)
        return Drawing(axes, list(drawn))


def _set_limits(axes: Axes, curves: Sequence[Curve], tasks: int) -> None:
    lows = [np.nanmin(c.mean - np.nan_to_num(c.std)) for c in curves]
    highs = [np.nanmax(c.mean + np.nan_to_num(c.std)) for c in curves]
    low = max(0, 10 * math.floor(10 * min(lows) - 0.1))
    high = min(100, 10 * math.ceil(10 * max(highs) + 0.1))
    margin = 0.015 * (high - low)
    axes.set_ylim(low - (margin if low == 0 else 0), high + margin)
    axes.set_xlim(1 - 0.02 * tasks, tasks + 0.02 * tasks)
    axes.yaxis.set_major_locator(MultipleLocator(10 if high - low <= 60 else 20))
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.grid(False, axis="x")
    axes.set_xlabel("tasks trained")


def _draw(axes: Axes, curve: Curve, style: Style, band: float) -> None:
    mean, std = 100 * curve.mean, 100 * curve.std
    x = np.arange(1, len(mean) + 1)
    if curve.only_at_the_end:
        axes.axhline(mean[-1], color=style.light, linestyle=style.line, linewidth=1.2)
        if np.isfinite(std[-1]):
            axes.axhspan(
                mean[-1] - std[-1], mean[-1] + std[-1], color=style.light, alpha=band, linewidth=0
            )
        return
    measured = np.isfinite(mean)  # others are gaps, over which the line goes
    x, mean, std = x[measured], mean[measured], std[measured]
    if np.isfinite(std).any():
        axes.fill_between(x, mean - std, mean + std, color=style.light, alpha=band, linewidth=0)
    few = len(x) <= 20
    marks = edged(style, 5.0 if few else 4.0)
    axes.plot(
        x,
        mean,
        color=style.light,
        linestyle=style.line,
        linewidth=1.6,
        markevery=1 if few else len(x) // 10,
        **marks,
    )

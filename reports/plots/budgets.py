"""Accuracy against the bytes of a memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cl_strategies.reports.plots.palette import Style
from cl_strategies.reports.plots.svg import (
    drawing_style,
    edged,
    label_ends,
    new_axes,
    shorten,
    text_width,
    to_svg,
)
from cl_strategies.results.formatting import show

_WIDTH, _HEIGHT, _LABEL = 5.2, 3.3, 8.0


class BudgetPoint(NamedTuple):
    """A method at one budget.

    :param bytes: of the memory.
    :param mean: accuracy in [0, 1].
    :param std: its standard deviation, or NaN.
    """

    bytes: float
    mean: float
    std: float


def budget_svg(
    series: Mapping[str, Sequence[BudgetPoint]],
    styles: Mapping[str, Style],
    key: str,
    *,
    label: str,
) -> str:
    """Return a line for each method over the budgets; ``""`` unless one was run with two.

    Points of one budget stand a little apart, so that their whiskers can be told from each other.

    :param series: label -> points.
    :param styles: label -> style.
    :param key: prefix of the SVG's ids.
    :param label: of the vertical axis.
    """
    if max((len(points) for points in series.values()), default=0) < 2:
        return ""
    budgets = sorted({point.bytes for points in series.values() for point in points})
    height = max(_HEIGHT, 0.155 * len(series) + 0.9)
    with drawing_style():
        right = 0.36 + text_width([shorten(name) for name in series], _LABEL)
        axes = new_axes(_WIDTH + 0.4, height, (0.5, right, 0.45, 0.12))
        axes.set_xscale("log")
        axes.set_xlim(budgets[0] / 1.15, budgets[-1] * 1.15)
        axes.xaxis.set_major_locator(FixedLocator(budgets))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: show(value, "bytes")))
        axes.grid(False, axis="x")
        axes.set_xlabel("bytes of the memory")
        axes.set_ylabel(label)
        ends = {}
        for place, (name, points) in enumerate(series.items()):
            style = styles[name]
            drawn = sorted(points)
            shift = 1 + 0.012 * (place - (len(series) - 1) / 2)
            x = [point.bytes * shift for point in drawn]
            axes.errorbar(
                x,
                [100 * point.mean for point in drawn],
                yerr=[0 if math.isnan(point.std) else 100 * point.std for point in drawn],
                color=style.light,
                linestyle=style.line,
                linewidth=1.6,
                elinewidth=0.8,
                **edged(style, 5.0),
            )
            ends[name] = (x[-1], 100 * drawn[-1].mean)
        label_ends(axes, ends, styles, _LABEL)
        return to_svg(axes, key, [styles[name] for name in series])

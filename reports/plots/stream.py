"""One line for each strategy over the tasks of a stream."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.ticker import MaxNLocator

from cl_strategies.reports.analysis.stream_costs import Series
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

_WIDTH, _HEIGHT, _LABEL = 4.8, 3.3, 8.0


def stream_svg(
    curves: Mapping[str, Series], styles: Mapping[str, Style], key: str, *, label: str
) -> str:
    """Lines over "tasks trained"; ``""`` without any.

    :param curves: label of a strategy -> values (T,), all above zero.
    :param styles: label of a strategy -> its style.
    :param key: prefix of the SVG's ids.
    :param label: of the vertical axis.
    """
    if not curves:
        return ""
    with drawing_style():
        right = 0.36 + text_width([shorten(name) for name in curves], _LABEL)
        height = max(_HEIGHT, 0.155 * len(curves) + 0.9)
        axes = new_axes(_WIDTH, height, (0.55, right, 0.45, 0.12))
        tasks = max(len(values) for values in curves.values())
        high = max(float(values.max()) for values in curves.values())
        axes.set_ylim(0, 1.06 * high)
        axes.set_xlim(1 - 0.02 * tasks, tasks + 0.02 * tasks)
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
        axes.grid(False, axis="x")
        axes.set_xlabel("tasks trained")
        axes.set_ylabel(label)
        for name, values in curves.items():
            style = styles[name]
            axes.plot(
                np.arange(1, len(values) + 1),
                values,
                color=style.light,
                linestyle=style.line,
                linewidth=1.6,
                markevery=max(1, len(values) // 10),
                **edged(style, 4.5),
            )
        ends = {name: (float(len(v)), float(v[-1])) for name, v in curves.items()}
        label_ends(axes, ends, styles, _LABEL)
        return to_svg(axes, key, [styles[name] for name in curves])

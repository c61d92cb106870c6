"""Accuracy on old tasks while new ones are trained: a panel for each old task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cl_strategies.reports.analysis.curves.iterations import TraceCurves
from cl_strategies.reports.plots.palette import MUTED, SURFACE, Style
from cl_strategies.reports.plots.svg import (
    Label,
    drawing_style,
    label_ends,
    new_axes,
    shorten,
    text_width,
    to_svg,
)

_WIDTH, _PANEL, _GAP, _LABEL = 6.8, 1.15, 0.2, 8.0
_LEFT, _BOTTOM, _TOP = 0.5, 0.45, 0.2


def traces_svg(
    curves: Mapping[str, TraceCurves], styles: Mapping[str, Style], key: str, tasks: Sequence[int]
) -> str:
    """Return small multiples, one below the other, with a thin vertical at each switch and a mark
    at the lowest accuracy after the task itself was trained.

    :param curves: label -> what was measured.
    :param styles: label -> style.
    :param key: prefix of the SVG's ids.
    :param tasks: the tasks that get a panel, by position in the order of training.
    """
    height = _TOP + _BOTTOM + len(tasks) * _PANEL + (len(tasks) - 1) * _GAP
    right = 0.36 + text_width([shorten(name) for name in curves], _LABEL)
    end = max(float(curve.progress[-1]) for curve in curves.values())
    with drawing_style():
        lowest = new_axes(_WIDTH, height, (_LEFT, right, _BOTTOM, height - _BOTTOM - _PANEL))
        for row, task in enumerate(tasks):
            below = _BOTTOM + (len(tasks) - 1 - row) * (_PANEL + _GAP)
            last = row + 1 == len(tasks)
            axes = lowest if last else _above(lowest, below, right)
            axes.set_xlim(0, end)
            axes.set_ylim(-4, 104)
            axes.set_yticks([0, 50, 100])
            axes.grid(False, axis="x")
            title = f"task {task + 1} (%)"
            axes.add_artist(Label(title, (0.0, 1.1), axes.transAxes, size=_LABEL))
            if not last:
                axes.tick_params(labelbottom=False)
            _panel(axes, curves, styles, task)
        lowest.set_xlabel("tasks trained, each from its first to its last iteration")
        lowest.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        return to_svg(lowest, key, [styles[name] for name in curves])


def _above(axes: Axes, below: float, right: float) -> Axes:
    figure = cast(Figure, axes.figure)
    width, height = figure.get_figwidth(), figure.get_figheight()
    share = 1 - (_LEFT + right) / width
    return figure.add_axes((_LEFT / width, below / height, share, _PANEL / height))


def _panel(
    axes: Axes, curves: Mapping[str, TraceCurves], styles: Mapping[str, Style], task: int
) -> None:
    ends = {}
    for switch in range(1, math.ceil(axes.get_xlim()[1])):
        axes.axvline(switch, color=MUTED, linewidth=0.5)
    for name, curve in curves.items():
        if task >= curve.accuracies.shape[1]:
            continue
        values = 100 * curve.accuracies[:, task]
        known = np.isfinite(values)
        if not known.any():
            continue
        style = styles[name]
        axes.plot(
            curve.progress[known],
            values[known],
            color=style.light,
            linestyle=style.line,
            linewidth=1.2,
        )
        ends[name] = (float(curve.progress[known][-1]), float(values[known][-1]))
        later = np.flatnonzero(known & (curve.progress > task + 1))
        if len(later):
            low = later[np.argmin(values[later])]
            axes.plot(
                curve.progress[low],
                values[low],
                marker=style.marker,
                markersize=5.5,
                markerfacecolor=style.light,
                markeredgecolor=SURFACE,
                linestyle="",
            )
    label_ends(axes, ends, styles, _LABEL)

"""Accuracy matrices as heat maps, all on one colour scale from 0 to 100 %."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from cl_strategies.reports.curves import Array
from cl_strategies.reports.drawing import drawing_style, new_axes, to_svg
from cl_strategies.reports.palette import SURFACE

LARGEST_WITH_VALUES = 10
"""Up to this many tasks every cell shows its number."""
_COLOURS = "viridis"
_SIDE, _SMALL_SIDE, _SMALL = 3.0, 2.3, 5


def matrix_svg(matrix: Array, key: str) -> str:
    """One heat map; cells that were not measured stay empty.

    :param matrix: accuracies in [0, 1] (T, T), row = after task t, column = test task i.
    :param key: prefix of the SVG's ids.
    """
    tasks = len(matrix)
    with drawing_style():
        side = _SMALL_SIDE if tasks <= _SMALL else _SIDE
        axes = new_axes(side, side, (0.42, 0.12, 0.42, 0.06))
        axes.grid(False)
        axes.spines[:].set_visible(False)
        if tasks <= LARGEST_WITH_VALUES:
            _draw_cells(axes, 100 * matrix)
        else:
            axes.imshow(
                np.ma.masked_invalid(100 * matrix),
                vmin=0,
                vmax=100,
                cmap=_COLOURS,
                interpolation="none",
                aspect="auto",
                extent=(0.5, tasks + 0.5, tasks + 0.5, 0.5),
            )
        axes.set_xlim(0.5, tasks + 0.5)
        axes.set_ylim(tasks + 0.5, 0.5)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(min(tasks, 10), integer=True, min_n_ticks=1))
        axes.set_xlabel("accuracy on task")
        axes.set_ylabel("after training task")
        return to_svg(axes, key)


def scale_svg(key: str) -> str:
    """The colour scale that all heat maps share."""
    with drawing_style():
        axes = new_axes(3.0, 0.5, (0.15, 0.2, 0.24, 0.06))
        axes.grid(False)
        axes.imshow(
            np.linspace(0, 1, 256)[None],
            cmap=_COLOURS,
            aspect="auto",
            extent=(0, 100, 0, 1),
            interpolation="none",
        )
        axes.set_yticks([])
        axes.set_xticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.spines[:].set_visible(False)
        return to_svg(axes, key)


def _draw_cells(axes: Axes, percent: Array) -> None:
    """A square with its number for every measured entry."""
    colours = colormaps[_COLOURS]
    tasks = len(percent)
    size = 8.5 if tasks <= 6 else 7.0
    for (t, i), value in np.ndenumerate(percent):
        if np.isnan(value):
            continue
        red, green, blue, _ = colours(value / 100)
        axes.add_patch(
            Rectangle(
                (i + 0.5, t + 0.5),
                1,
                1,
                facecolor=(red, green, blue),
                edgecolor=SURFACE,
                linewidth=0.8,
            )
        )
        bright = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.42
        axes.text(
            i + 1,
            t + 1,
            f"{value:.1f}" if tasks <= _SMALL else f"{value:.0f}",
            ha="center",
            va="center",
            size=size,
            color="#101418" if bright else "#ffffff",
        )

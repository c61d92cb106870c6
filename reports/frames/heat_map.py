"""An accuracy matrix as a figure of matplotlib's; pages have :mod:`.matrices`, which is faster."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from cl_strategies.reports.analysis.curves.experiences import Array
from cl_strategies.reports.plots.matrices import COLORS, LARGEST_WITH_VALUES, ink_on
from cl_strategies.reports.plots.svg import Drawing, drawing_style, new_axes


def draw_matrix(matrix: Array) -> Drawing:
    """Draw one heat map; cells that were not measured stay empty.

    :param matrix: accuracies in [0, 1] (T, T), row = after task t, column = test task i.
    """
    tasks = len(matrix)
    with drawing_style():
        axes = new_axes(3.4, 3.4, (0.5, 0.12, 0.5, 0.12))
        axes.grid(False)
        ends = (0.5, tasks + 0.5, tasks + 0.5, 0.5)
        axes.imshow(matrix, cmap=COLORS, vmin=0, vmax=1, extent=ends, interpolation="none")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(min(tasks, 10), integer=True, min_n_ticks=1))
        axes.set_xlabel("accuracy on task (%)")
        axes.set_ylabel("after training task")
        axes.spines[:].set_visible(False)
        for (t, i), value in np.ndenumerate(matrix):
            if tasks <= LARGEST_WITH_VALUES and not np.isnan(value):
                text, ink = f"{100 * value:.0f}", ink_on(value)
                axes.text(i + 1, t + 1, text, color=ink, ha="center", va="center")
        return Drawing(axes)

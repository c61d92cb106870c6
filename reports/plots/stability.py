"""What is kept of old experiences against what is learned of new ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from cl_strategies.plugins.metrics.functional import learning_accuracy, stability_final_old
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.tables import mean_and_std
from cl_strategies.reports.plots.figures import Figure
from cl_strategies.reports.plots.palette import MUTED, Style
from cl_strategies.reports.plots.svg import (
    POINTS,
    Label,
    drawing_style,
    edged,
    new_axes,
    shorten,
    spread,
    text_width,
    to_svg,
)

_WIDTH, _HEIGHT, _LABEL = 4.8, 3.3, 8.0


@dataclass(frozen=True)
class Point:
    """Mean and standard deviation over runs, as fractions; NaN for the spread of a single run."""

    strategy: str
    plasticity: tuple[float, float]
    stability: tuple[float, float]


def stability_figures(groups: Sequence[Group], styles: Mapping[str, Style]) -> list[Figure]:
    """Return a figure for each benchmark on which both are defined for a strategy."""
    figures = []
    for k, benchmark in enumerate(sorted({group.benchmark for group in groups})):
        points = points_of([group for group in groups if group.benchmark == benchmark])
        if points:
            words = "; ".join(
                f"{point.strategy} learned {100 * point.plasticity[0]:.1f} % and kept "
                f"{100 * point.stability[0]:.1f} %"
                for point in points
            )
            alt = (
                f"Scatter plot of the final accuracy on old experiences against the accuracy just "
                f"after training on {benchmark}. {words}."
            )
            svg = stability_svg(points, styles, f"stability{k}")
            figures.append(Figure(svg=svg, alt=alt, caption=benchmark))
    return figures


def points_of(groups: Sequence[Group]) -> list[Point]:
    """Return the points of strategies for which both are defined in every finished run."""
    points = []
    for group in groups:
        learned = [learning_accuracy(record.matrix) for record in group.finished]
        kept = [stability_final_old(record.matrix) for record in group.finished]
        if learned and not any(map(math.isnan, (*learned, *kept))):
            points.append(Point(group.strategy, mean_and_std(learned), mean_and_std(kept)))
    return points


def stability_svg(points: Sequence[Point], styles: Mapping[str, Style], key: str) -> str:
    """Draw one point for each strategy, with crosses of one standard deviation.

    On the diagonal what was learned is kept whole.

    :param points: of the strategies on one benchmark.
    :param styles: label of a strategy -> its style.
    :param key: prefix of the SVG's ids.
    """
    height = max(_HEIGHT, 0.155 * len(points) + 0.9)
    names = [shorten(point.strategy) for point in points]
    with drawing_style():
        right = 0.36 + text_width(names, _LABEL)
        axes = new_axes(_WIDTH, height, (0.5, right, 0.45, 0.12))
        axes.set_xlim(*_limits([point.plasticity for point in points]))
        axes.set_ylim(*_limits([point.stability for point in points]))
        axes.axline((0, 0), slope=1, color=MUTED, linewidth=0.7, linestyle="--")
        for point in points:
            (x, dx), (y, dy) = point.plasticity, point.stability
            style = styles[point.strategy]
            axes.errorbar(
                [100 * x],
                [100 * y],
                xerr=None if math.isnan(dx) else [100 * dx],
                yerr=None if math.isnan(dy) else [100 * dy],
                linestyle="",
                ecolor=style.light,
                elinewidth=1,
                **edged(style, 8),
            )
        axes.set_xlabel("accuracy just after training (%)")
        axes.set_ylabel("final accuracy on old experiences (%)")
        _name(axes, points)
        return to_svg(axes, key, [styles[point.strategy] for point in points])


def _name(axes: Axes, points: Sequence[Point]) -> None:
    """Write names to the right of the axes, led to by dotted lines: whiskers are solid."""
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height * POINTS / axes.figure.dpi
    wanted = [100 * point.stability[0] for point in points]
    places = spread(wanted, (_LABEL + 2.4) * (high - low) / height, low, high)
    edge = axes.get_xlim()[1]
    for point, place in zip(points, places, strict=True):
        label = (1.035, (place - low) / (high - low))
        axes.add_artist(Label(shorten(point.strategy), label, axes.transAxes, size=_LABEL))
        axes.plot(
            [100 * point.plasticity[0], edge],
            [100 * point.stability[0], place],
            color=MUTED,
            linewidth=0.6,
            linestyle=(0, (1, 2)),
            zorder=1,
            scalex=False,
            scaley=False,
        )


def _limits(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
    spans = [(100 * mean, 0.0 if math.isnan(std) else 100 * std) for mean, std in values]
    low, high = min(m - s for m, s in spans), max(m + s for m, s in spans)
    margin = max(0.08 * (high - low), 2.0)
    return max(-2.0, low - margin), min(102.0, high + margin)

"""The figures of a page: SVG, the text for those who cannot see it, and a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cl_strategies.reports.analysis.curves.experiences import Array, mean_matrix, seen_spread
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.summary_table import rows_of
from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.plots.alternatives import alternative, runs_of
from cl_strategies.reports.plots.bars import forgetting_svg, memory_svg
from cl_strategies.reports.plots.cost import cost_svg
from cl_strategies.reports.plots.curves import curves_svg
from cl_strategies.reports.plots.matrices import matrix_svg
from cl_strategies.reports.plots.palette import Style
from cl_strategies.results.formatting import plain, show

Styles = Mapping[str, Style]
MOST_MATRICES, SHOWN_MATRICES = 12, 8


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure.

    :param svg: an ``<svg>`` element.
    :param alt: what it shows, in words and numbers.
    :param caption: line below (or above) it.
    :param strategy: label of the strategy it is about, ``""`` if it is about all.
    :param panels: title and ``<svg>`` of each of several small multiples, instead of ``svg``.
    """

    svg: str
    alt: str
    caption: str
    strategy: str = ""
    panels: tuple[tuple[str, str], ...] = ()


def curve_figures(
    groups: Sequence[Group], rows: Sequence[SummaryRow], styles: Styles
) -> list[Figure]:
    """Return one figure with curves for each benchmark."""
    figures = []
    for k, (benchmark, here) in enumerate(_by_benchmark(groups)):
        figures.append(
            Figure(
                svg=curves_svg(here, styles, f"curve{k}"),
                alt=alternative(
                    f"Line chart of the accuracy on tasks seen so far (%) on {benchmark}, after "
                    "each task; bands are one standard deviation. After the last task",
                    _means(rows_of(rows, benchmark, "average_accuracy")),
                    lambda value: show(value, "fraction"),
                    end=runs_of(here),
                ),
                caption=benchmark,
            )
        )
    return [figure for figure in figures if figure.svg]


def spread_figures(
    groups: Sequence[Group], rows: Sequence[SummaryRow], styles: Styles
) -> list[Figure]:
    """Return one figure with the spread over the tasks for each benchmark."""
    figures = []
    for k, (benchmark, here) in enumerate(_by_benchmark(groups)):
        svg = curves_svg(
            here,
            styles,
            f"spread{k}",
            curve_of=seen_spread,
            label="spread over tasks seen so far (%)",
        )
        alt = alternative(
            f"Line chart of the standard deviation of the accuracies of the tasks seen so far on "
            f"{benchmark}, after each task. After the last task",
            _means(rows_of(rows, benchmark, "accuracy_spread")),
            lambda value: show(value, "fraction"),
            end=runs_of(here),
        )
        figures.append(Figure(svg=svg, alt=alt, caption=benchmark))
    return [figure for figure in figures if figure.svg]


def matrix_figures(
    groups: Sequence[Group], rows: Sequence[SummaryRow]
) -> list[tuple[str, int, list[Figure]]]:
    """For each benchmark its label, its number of tasks and a heat map of each strategy.

    With more than :data:`MOST_MATRICES` strategies only of those with the best mean accuracies.
    """
    means = {
        (row.benchmark, row.strategy): row.mean
        for row in rows
        if row.metric == "average_accuracy" and row.n
    }
    result = []
    for k, (benchmark, here) in enumerate(_by_benchmark(groups)):
        figures = []
        if len(here) > MOST_MATRICES:
            best = sorted(here, key=lambda group: -means.get((benchmark, group.strategy), -1.0))
            chosen = {group.strategy for group in best[:SHOWN_MATRICES]}
            here = [group for group in here if group.strategy in chosen]
        for j, group in enumerate(here):
            matrix = mean_matrix(group)
            if not np.isfinite(matrix).any():
                continue
            figures.append(
                Figure(
                    svg=matrix_svg(matrix, f"matrix{k}-{j}"),
                    alt=f"Heat map of the accuracy matrix of {group.strategy} on {benchmark}. "
                    f"{_last_row(matrix)}",
                    caption=f"n = {len(group.finished)}",
                    strategy=group.strategy,
                )
            )
        if figures:
            tasks = max(len(group.matrices[0]) for group in here if group.finished)
            result.append((benchmark, tasks, figures))
    return result


def forgetting_figures(rows: Sequence[SummaryRow], styles: Styles) -> list[Figure]:
    """Return one bar chart of forgetting for each benchmark."""
    figures = []
    for k, benchmark in enumerate(_benchmarks(rows)):
        here = rows_of(rows, benchmark, "forgetting")
        figures.append(
            Figure(
                svg=forgetting_svg(here, styles, f"forgetting{k}"),
                alt=alternative(
                    f"Bar chart of forgetting on {benchmark}, means; whiskers are one standard "
                    "deviation",
                    _means(here),
                    lambda value: show(value, "fraction"),
                ),
                caption=benchmark,
            )
        )
    return [figure for figure in figures if figure.svg]


def cost_figures(rows: Sequence[SummaryRow], styles: Styles) -> list[tuple[str, list[Figure]]]:
    """For each benchmark its label, and accuracy against time, and memory."""
    result = []
    for k, benchmark in enumerate(_benchmarks(rows)):
        accuracies = rows_of(rows, benchmark, "average_accuracy")
        times = rows_of(rows, benchmark, "train_seconds")
        parameters = rows_of(rows, benchmark, "parameter_bytes")
        states = rows_of(rows, benchmark, "method_state_bytes")
        pair = [
            Figure(
                svg=cost_svg(accuracies, times, styles, f"cost{k}"),
                alt=alternative(
                    f"Scatter chart of average accuracy against training time on {benchmark}. "
                    "Training times",
                    _means(times),
                    lambda value: show(value, "seconds"),
                ),
                caption="Accuracy against training time",
            ),
            Figure(
                svg=memory_svg(parameters, states, styles, f"memory{k}"),
                alt=alternative(
                    f"Bar chart of memory on {benchmark}. Method state beside the parameters",
                    _means(states),
                    lambda value: show(value, "bytes"),
                ),
                caption="Memory: parameters (grey) + method state (color)",
            ),
        ]
        drawn = [figure for figure in pair if figure.svg]
        if drawn:
            result.append((benchmark, drawn))
    return result


def _by_benchmark(groups: Sequence[Group]) -> list[tuple[str, list[Group]]]:
    labels = sorted({group.benchmark for group in groups})
    return [(label, [group for group in groups if group.benchmark == label]) for label in labels]


def _benchmarks(rows: Sequence[SummaryRow]) -> list[str]:
    return sorted({row.benchmark for row in rows})


def _means(rows: Sequence[SummaryRow]) -> dict[str, float]:
    return {row.strategy: row.mean for row in rows if row.n}


def _last_row(matrix: Array) -> str:
    values = [plain(100 * value, 1) for value in matrix[-1, :20] if np.isfinite(value)]
    more = ", and so on" if len(matrix) > 20 else ""
    return f"After the last task, by task, in percent: {', '.join(values)}{more}."

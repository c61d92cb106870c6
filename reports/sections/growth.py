"""What a method stores at the end of a stream of tasks, beside its accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.stream_costs import network_bytes, stored
from cl_strategies.reports.analysis.summary_table import rows_of
from cl_strategies.reports.analysis.tables import SummaryRow, mean_and_std
from cl_strategies.reports.plots.alternatives import alternative
from cl_strategies.reports.plots.cost import CostAxis, cost_svg
from cl_strategies.reports.plots.figures import Figure, Styles
from cl_strategies.results.formatting import plain, show_with_spread

HEADINGS = ("Growth", "Average accuracy", "n")
EXPLANATION = (
    "Growth is what model and method state take after the last task, relative to one network with "
    "the head of one task, less 1. That network is single-task's after its first task, where there "
    "is that strategy, else the method's own. Mean and standard deviation over the runs; least "
    "growth first."
)
_GROWTH = "growth"
_AXIS = CostAxis("stored at the end, relative to one network", "number")


@dataclass(frozen=True, kw_only=True)
class GrowthTable:
    """One benchmark on which what is stored grows.

    :param benchmark: its label.
    :param lines: label of a strategy, and a text for each of :data:`HEADINGS`.
    :param growths: growth of each strategy, as rows of a metric.
    :param accuracies: rows of their average accuracy.
    :param methods: label of a strategy -> its name in the registry.
    """

    benchmark: str
    lines: tuple[tuple[str, tuple[str, ...]], ...]
    growths: tuple[SummaryRow, ...]
    accuracies: tuple[SummaryRow, ...]
    methods: dict[str, str]


def growth_tables(groups: Sequence[Group], rows: Sequence[SummaryRow]) -> list[GrowthTable]:
    """Return a table for each benchmark on which what some strategy stores grows with every task.

    Runs that did not record what is stored after every task are left out, and with them whole
    strategies, such as ``joint``.

    :param groups: with the labels of ``rows``.
    """
    tables = []
    for benchmark in sorted({group.benchmark for group in groups}):
        here = [group for group in groups if group.benchmark == benchmark]
        one = network_bytes(here)
        found = (_growth(group, one) for group in here)
        growths = sorted((row for row in found if row is not None), key=lambda row: row.mean)
        accuracies = {
            row.strategy: row for row in rows_of(rows, benchmark, "average_accuracy") if row.n
        }
        growths = [row for row in growths if row.strategy in accuracies]
        if len({row.mean for row in growths}) < 2 or not any(map(_keeps_growing, here)):
            continue
        reached = tuple(accuracies[row.strategy] for row in growths)
        tables.append(
            GrowthTable(
                benchmark=benchmark,
                lines=tuple(map(_line, growths, reached)),
                growths=tuple(growths),
                accuracies=reached,
                methods={group.strategy: group.records[0].strategy for group in here},
            )
        )
    return tables


def growth_figure(table: GrowthTable, styles: Styles, key: str) -> Figure:
    """Return accuracy against what is stored; variants of one method are joined by a line.

    :param key: prefix of the ids in the figure.
    """
    ends = [_shifted(row) for row in table.growths]
    return Figure(
        svg=cost_svg(table.accuracies, ends, styles, key, axis=_AXIS, methods=table.methods),
        alt=alternative(
            "Scatter chart of average accuracy against the bytes of model and method state after "
            f"the last task of {table.benchmark}, relative to one network",
            {row.strategy: row.mean for row in ends},
            lambda value: f"{plain(value, 2)} times",
        ),
        caption="Accuracy against growth",
    )


def _growth(group: Group, one: float | None) -> SummaryRow | None:
    runs = [stored(record, one) for record in group.finished]
    if not runs or any(len(run) < 2 or not np.isfinite(run).all() for run in runs):
        return None
    values = tuple(float(run[-1]) - 1 for run in runs)
    mean, std = mean_and_std(values)
    return SummaryRow(
        benchmark=group.benchmark,
        strategy=group.strategy,
        metric=_GROWTH,
        mean=mean,
        std=std,
        n=len(values),
        n_failed=group.n_failed,
        values=values,
    )


def _keeps_growing(group: Group) -> bool:
    runs = map(stored, group.finished)
    return any(len(run) > 1 and bool((np.diff(run) > 0).all()) for run in runs)


def _line(growth: SummaryRow, accuracy: SummaryRow) -> tuple[str, tuple[str, ...]]:
    spread = show_with_spread(growth.mean, growth.std, "number")
    points = show_with_spread(accuracy.mean, accuracy.std, "fraction")
    return growth.strategy, (spread, points, str(growth.n))


def _shifted(row: SummaryRow) -> SummaryRow:
    """A logarithmic axis has no place for a growth of 0: the network counts, too."""
    return replace(row, mean=row.mean + 1)

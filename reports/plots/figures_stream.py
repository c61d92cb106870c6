"""Figures of what happens along the stream: costs after each task, and task orders."""

from __future__ import annotations

from collections.abc import Sequence

from cl_strategies.reports.analysis import stream_costs
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.orders import DisparityTable
from cl_strategies.reports.plots.alternatives import alternative
from cl_strategies.reports.plots.figures import Figure, Styles
from cl_strategies.reports.plots.orders import disparity_svg
from cl_strategies.reports.plots.stream import stream_svg
from cl_strategies.results.formatting import plain, scale_of, show


def order_figures(tables: Sequence[DisparityTable], styles: Styles) -> list[Figure]:
    """Return a box plot for each table."""
    figures = []
    for k, table in enumerate(tables):
        texts = {
            item.strategy: f"{_points(item.average)} (at most {_points(item.maximum)})"
            for item in table.items
        }
        figures.append(
            Figure(
                svg=disparity_svg(table.items, styles, f"order{k}"),
                alt=alternative(
                    f"Box plot of the order disparity of the tasks of {table.benchmark}, in "
                    f"percentage points, {table.items[0].orders} orders. Means",
                    {item.strategy: item.average for item in table.items},
                    texts,
                ),
                caption=f"{table.benchmark}: order disparity of the tasks",
            )
        )
    return figures


def _points(value: float) -> str:
    return show(value, "fraction", symbol=False)


def stream_figures(groups: Sequence[Group], styles: Styles) -> dict[str, list[Figure]]:
    """For each benchmark of several tasks: storage, training time and peak memory by task."""
    result = {}
    for k, benchmark in enumerate(sorted({group.benchmark for group in groups})):
        here = [group for group in groups if group.benchmark == benchmark]
        drawn = [f for f in _of_benchmark(here, benchmark, styles, k) if f.svg]
        if drawn and max(len(group.records[0].task_order) for group in here) > 1:
            result[benchmark] = drawn
    return result


def _of_benchmark(here: Sequence[Group], benchmark: str, styles: Styles, k: int) -> list[Figure]:
    def times(value: float) -> str:
        return f"{plain(value, 2)} times"

    growth = stream_costs.growth_curves(here)
    ratios, alone = stream_costs.time_ratio_curves(here)
    peaks = stream_costs.peak_curves(here)
    size, unit = scale_of("bytes", max((float(v.max()) for v in peaks.values()), default=1.0))
    base = "single-task's first task" if alone else "the first task"
    return [
        Figure(
            svg=stream_svg(growth, styles, f"growth{k}", label="stored, relative to one network"),
            alt=alternative(
                "Line chart of the bytes of model and method state after each task on "
                f"{benchmark}, relative to the network after the first. At the end",
                stream_costs.last_values(growth),
                times,
            ),
            caption="Stored bytes after each task (model and method state)",
        ),
        Figure(
            svg=stream_svg(ratios, styles, f"ratio{k}", label="training time, ratio"),
            alt=alternative(
                f"Line chart of the training time up to each task on {benchmark}, relative to "
                f"{base}. At the end",
                stream_costs.last_values(ratios),
                times,
            ),
            caption=f"Training time up to each task, relative to {base}",
        ),
        Figure(
            svg=stream_svg(
                {name: values / size for name, values in peaks.items()},
                styles,
                f"peak{k}",
                label=f"peak memory ({unit})",
            ),
            alt=alternative(
                f"Line chart of the peak memory while each task was trained on {benchmark}. "
                "In the last",
                stream_costs.last_values(peaks),
                lambda value: show(value, "bytes"),
            ),
            caption="Peak memory while each task is trained",
        ),
    ]

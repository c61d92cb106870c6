"""What happens to old tasks while new ones are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cl_strategies.reports.analysis.curves.iterations import TraceCurves, mean_curves
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.summary_table import rows_of
from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.plots.figures import Figure
from cl_strategies.reports.plots.palette import assign_styles
from cl_strategies.reports.plots.traces import traces_svg
from cl_strategies.reports.reading.collection import Collection
from cl_strategies.results.during_training import training_metrics
from cl_strategies.results.formatting import MISSING, plain, show, show_with_spread
from cl_strategies.results.metrics import describe

_MOST_CURVES, _MOST_PANELS = 6, 5


@dataclass(frozen=True, kw_only=True)
class TraceTable:
    """One benchmark on which runs were evaluated during training.

    :param benchmark: its label.
    :param headings: titles of the metrics.
    :param lines: label of the strategy, and a text for each of the headings.
    :param figure: accuracy on old tasks against iterations; ``None`` with a single task.
    """

    benchmark: str
    headings: tuple[str, ...]
    lines: tuple[tuple[str, tuple[str, ...]], ...]
    figure: Figure | None


def trace_tables(
    collection: Collection, groups: Sequence[Group], rows: Sequence[SummaryRow]
) -> list[TraceTable]:
    """Return a table for each benchmark with such a run."""
    traces = {run.record.config_hash: run.trace for run in collection.runs if run.trace}
    tables = []
    for k, benchmark in enumerate(sorted({group.benchmark for group in groups})):
        here = [g for g in groups if g.benchmark == benchmark and _traced(g)]
        if not here:
            continue
        names = _names(here)
        found = {name: {r.strategy: r for r in rows_of(rows, benchmark, name)} for name in names}
        names = [name for name in names if any(row.n for row in found[name].values())]
        curves = {}
        for group in _first(here, found.get("wc_acc", {})):
            hashes = [record.config_hash for record in group.finished]
            mean = mean_curves([traces[name] for name in hashes if name in traces])
            if mean is not None:
                curves[group.strategy] = mean
        tables.append(
            TraceTable(
                benchmark=benchmark,
                headings=tuple(describe(name).title for name in names),
                lines=tuple(
                    (g.strategy, tuple(_cell(found[name].get(g.strategy)) for name in names))
                    for g in here
                ),
                figure=_figure(curves, here, benchmark, f"trace{k}"),
            )
        )
    return tables


def _traced(group: Group) -> bool:
    return any(
        record.metrics.get(name) is not None
        for record in group.finished
        for name in ("trace_cost", "online_accuracy")
    )


def _names(groups: Sequence[Group]) -> list[str]:
    """Return the metrics that were recorded, in the order of the definitions."""
    recorded = sorted({name for g in groups for record in g.finished for name in record.metrics})
    order = {key: rank for rank, key in enumerate(training_metrics())}
    known = {}
    for name in recorded:
        key = "_".join("N" if part.isdigit() else part for part in name.split("_"))
        if key in order:
            known[name] = order[key]
    return sorted(known, key=lambda name: (known[name], name))


def _first(groups: Sequence[Group], worst: Mapping[str, SummaryRow]) -> list[Group]:
    """Return the strategies that are drawn: those with the best worst-case accuracy."""
    values = {name: row.mean for name, row in worst.items() if row.n}
    ranked = sorted(groups, key=lambda g: (-values.get(g.strategy, -1.0), g.strategy))
    kept = {group.strategy for group in ranked[:_MOST_CURVES]}
    return [group for group in groups if group.strategy in kept]


def _cell(row: SummaryRow | None) -> str:
    if row is None or not row.n:
        return MISSING
    unit = describe(row.metric).unit
    if unit == "number" and len({*row.values}) == 1 and row.mean == round(row.mean):
        return plain(row.mean, 0)
    return show(row.mean, unit) if row.n < 2 else show_with_spread(row.mean, row.std, unit)


def _figure(
    curves: Mapping[str, TraceCurves], here: Sequence[Group], benchmark: str, key: str
) -> Figure | None:
    tasks = max((curve.accuracies.shape[1] for curve in curves.values()), default=0)
    if tasks < 2:
        return None
    panels = list(range(min(tasks - 1, _MOST_PANELS)))
    styles = assign_styles({g.strategy: g.records[0].strategy for g in here})
    words = "; ".join(
        f"{name} lowest {show(low, 'fraction')}, at the end {show(end, 'fraction')}"
        for name, (low, end) in ((name, _said(curve)) for name, curve in curves.items())
    )
    left_out = len(here) - len(curves)
    caption = f"Accuracy on old tasks during training, {benchmark}"
    if tasks - 1 > len(panels):
        caption += f"; the first {len(panels)} of {tasks - 1} old tasks"
    if left_out:
        caption += f"; {left_out} strategies with a lower worst-case accuracy are left out"
    alt = (
        f"Line charts of the accuracy on {len(panels)} old tasks over the course of training on "
        f"{benchmark}. On the first task, after its own training: {words}."
    )
    svg = traces_svg(curves, styles, key, panels)
    return Figure(svg=svg, alt=alt, caption=caption)


def _said(curve: TraceCurves) -> tuple[float, float]:
    """Return the lowest and the last accuracy on the first task after its own training."""
    later = curve.accuracies[curve.progress > 1, 0]
    values = later if len(later) else curve.accuracies[-1:, 0]
    return float(np.min(values)), float(values[-1])

"""Exemplars counted in bytes: what a budget buys, and what accuracy it comes to."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.labels import Labels
from cl_strategies.reports.analysis.summary_table import rows_of
from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.plots.alternatives import LONGEST, alternative
from cl_strategies.reports.plots.budgets import BudgetPoint, budget_svg
from cl_strategies.reports.plots.figures import Figure
from cl_strategies.reports.plots.palette import assign_styles
from cl_strategies.reports.plots.stream import stream_svg
from cl_strategies.reports.reading.collection import Collection
from cl_strategies.results.fields import LARGEST
from cl_strategies.results.formatting import MISSING, plain, show, show_with_spread
from cl_strategies.results.record import BOX_COLUMNS

HEADINGS = (
    "Budget",
    "Used",
    "Exemplars",
    "Per class",
    "Bytes each",
    "Share of raw",
    "Box area",
    "Overlap with CAM",
    "Overlap with true box",
    "Last accuracy",
    "Avg. incremental accuracy",
)
_BUDGET = re.compile(r"(, )?\bmem_bytes=\d+|\bmem_bytes=\d+, ")
_MOST_PICTURES = 24


@dataclass(frozen=True, kw_only=True)
class ExemplarTable:
    """One benchmark on which memories were counted in bytes.

    :param benchmark: its label.
    :param lines: label of the strategy, and a text for each of :data:`HEADINGS`; by budget.
    :param figures: accuracy against bytes, and compression over the tasks.
    :param pictures: label of a strategy, and the PNG file with its exemplars.
    """

    benchmark: str
    lines: tuple[tuple[str, tuple[str, ...]], ...]
    figures: tuple[Figure, ...]
    pictures: tuple[tuple[str, bytes], ...]


def exemplar_tables(
    collection: Collection,
    groups: Sequence[Group],
    rows: Sequence[SummaryRow],
    labels: Labels | None = None,
    facets: Container[str] = (),
) -> list[ExemplarTable]:
    """Return a table for each benchmark with such a memory.

    :param labels: short labels for the lines.
    :param facets: benchmarks whose facets show the accuracies by bytes: they have no such figure.
    """
    tables = []
    labels = labels or Labels({})
    for k, benchmark in enumerate(sorted({group.benchmark for group in groups})):
        here = [g for g in groups if g.benchmark == benchmark and _memory(g, "count") is not None]
        if not here:
            continue
        here.sort(key=lambda group: (_budget(group), group.strategy))
        tables.append(
            ExemplarTable(
                benchmark=benchmark,
                lines=tuple((labels.of(group), _cells(group, rows)) for group in here),
                figures=()
                if benchmark in facets
                else tuple(f for f in _figures(here, rows, benchmark, k) if f.svg),
                pictures=tuple(_pictures(collection, here, labels)),
            )
        )
    return tables


def method_of(group: Group) -> str:
    """Return the label of a group without its budget, and without the names of what else
    differs."""
    text = _BUDGET.sub("", group.strategy).replace(" ()", "")
    name, _, options = text.partition(" (")
    values = [part.partition("=")[2] or part for part in options.removesuffix(")").split(", ")]
    return " ".join([name, *(value for value in values if value)])


def _budget(group: Group) -> float:
    """Return bytes that the memory may take; those that it takes where the budget grows."""
    table = group.records[0].config["strategy"]
    given = table.get("mem_bytes")
    if type(given) is int and 0 < given <= LARGEST and not table.get("growing"):
        return float(given)
    return _memory(group, "bytes") or 0.0


def _memory(group: Group, column: str) -> float | None:
    """Return the mean over the runs of what was recorded after the last task."""
    values = [record.exemplars.get(column, ()) for record in group.finished]
    ends = [column[-1] for column in values if column and column[-1] is not None]
    return float(np.mean(ends)) if ends and len(ends) == len(values) else None


def _cells(group: Group, rows: Sequence[SummaryRow]) -> tuple[str, ...]:
    used, count = _memory(group, "bytes"), _memory(group, "count")
    raw, classes = _memory(group, "raw_bytes"), _memory(group, "classes")
    found = {
        metric: {row.strategy: row for row in rows_of(rows, group.benchmark, metric) if row.n}
        for metric in ("average_accuracy", "average_incremental_accuracy")
    }
    accuracies = [found[metric].get(group.strategy) for metric in found]
    return (
        show(_budget(group), "bytes"),
        MISSING if used is None else show(used, "bytes"),
        MISSING if count is None else plain(count, 0 if count == round(count) else 1),
        MISSING if count is None or not classes else plain(count / classes, 1),
        MISSING if used is None or not count else show(used / count, "bytes"),
        MISSING if used is None or not raw else show(used / raw, "fraction"),
        *(
            MISSING if (share := _memory(group, column)) is None else show(share, "fraction")
            for column in BOX_COLUMNS
        ),
        *(
            MISSING if row is None else show_with_spread(row.mean, row.std, "fraction")
            for row in accuracies
        ),
    )


def _figures(
    here: Sequence[Group], rows: Sequence[SummaryRow], benchmark: str, k: int
) -> list[Figure]:
    names = {method_of(group): group.records[0].strategy for group in here}
    styles = assign_styles(names)
    figures = []
    for metric, title in (
        ("average_accuracy", "accuracy after the last task"),
        ("average_incremental_accuracy", "average incremental accuracy"),
    ):
        found = {row.strategy: row for row in rows_of(rows, benchmark, metric) if row.n}
        series: dict[str, list[BudgetPoint]] = {}
        for group in here:
            if group.strategy in found:
                row = found[group.strategy]
                point = BudgetPoint(_budget(group), row.mean, row.std)
                series.setdefault(method_of(group), []).append(point)
        figures.append(
            Figure(
                svg=budget_svg(series, styles, f"budget{k}-{metric}", label=f"{title} (%)"),
                alt=_alternative(title, benchmark, series),
                caption=f"{title[0].upper()}{title[1:]} against bytes",
            )
        )
    largest = max(map(_budget, here))
    rates = {
        method_of(group): rate
        for group in here
        if _budget(group) == largest and len(rate := compression_curve(group)) > 1
    }
    figures.append(
        Figure(
            svg=stream_svg(rates, styles, f"rate{k}", label="stored bytes / raw bytes"),
            alt=alternative(
                "Line chart of the bytes of the exemplars as a share of the same images raw, "
                f"after each task on {benchmark}. At the end",
                {name: float(rate[-1]) for name, rate in rates.items()},
                lambda value: show(value, "fraction"),
            ),
            caption=f"Compression over the tasks, at {show(largest, 'bytes')}",
        )
    )
    return figures


def compression_curve(group: Group) -> np.ndarray:
    """Stored bytes over raw bytes after each task, mean over the runs (T,); empty if unknown."""
    curves = []
    for record in group.finished:
        used, raw = (record.exemplars.get(column, ()) for column in ("bytes", "raw_bytes"))
        if not used or len(used) != len(raw) or not all(used) or not all(raw):
            return np.empty(0)
        stored, whole = np.array(used, dtype=float), np.array(raw, dtype=float)
        if stored.max() > LARGEST * min(whole.min(), 1.0):
            return np.empty(0)  # divided by nearly nothing, which no axis holds
        curves.append(stored / whole)
    if not curves or len({len(curve) for curve in curves}) > 1:
        return np.empty(0)
    return np.mean(curves, axis=0)


def _pictures(
    collection: Collection, here: Sequence[Group], labels: Labels
) -> list[tuple[str, bytes]]:
    """Of the first run of each method at the smallest budget."""
    files = {id(run.record): run.exemplars for run in collection.runs}
    smallest = min(map(_budget, here))
    found = []
    for group in here:
        if _budget(group) == smallest and group.finished:
            data = files.get(id(group.finished[0]), b"")
            if data:
                found.append((labels.of(group), data))
    return found[:_MOST_PICTURES]


def _alternative(title: str, benchmark: str, series: Mapping[str, Sequence[BudgetPoint]]) -> str:
    start = f"Line chart of {title} against the bytes of the memory on {benchmark}"
    whole = f"{start}: {_in_words(series)}."
    if len(whole) <= LONGEST:
        return whole
    ends = {name: max(points).mean for name, points in series.items()}
    return alternative(
        f"{start}; at the largest budget", ends, lambda value: show(value, "fraction")
    )


def _in_words(series: Mapping[str, Sequence[BudgetPoint]]) -> str:
    return "; ".join(
        f"{name} "
        + ", ".join(f"{show(p.mean, 'fraction')} at {show(p.bytes, 'bytes')}" for p in points)
        for name, points in series.items()
    )

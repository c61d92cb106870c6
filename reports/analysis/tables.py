"""From runs to rows: mean, standard deviation and n of every metric."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cl_strategies.errors.text import csv_cell
from cl_strategies.reports.analysis.grouping import Group, group_records
from cl_strategies.reports.analysis.marks import marks
from cl_strategies.reports.analysis.orders import disparity
from cl_strategies.results.metrics import METRICS, REFERENCE_STRATEGIES
from cl_strategies.results.record import RunRecord

CSV_COLUMNS = ("benchmark", "strategy", "metric", "mean", "std", "n")


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One metric of one strategy on one benchmark.

    :param benchmark: label of the benchmark.
    :param strategy: label of the strategy.
    :param metric: name of the metric, see :mod:`cl_strategies.results.metrics`.
    :param mean: over the finished runs in which the metric is defined; NaN if there is none.
    :param std: sample standard deviation (divisor n - 1); NaN if n < 2.
    :param n: number of values behind the mean.
    :param n_failed: failed runs of the strategy on the benchmark, no part of the mean.
    :param values: the values themselves, by seed.
    :param reference: a bound, never marked.
    :param mark: ``"best"``, ``"level"`` (it cannot be told apart from the best) or ``""``.
    """

    benchmark: str
    strategy: str
    metric: str
    mean: float
    std: float
    n: int
    n_failed: int
    values: tuple[float, ...] = ()
    reference: bool = False
    mark: str = ""


def aggregate(
    records: Iterable[RunRecord], *, references: frozenset[str] = REFERENCE_STRATEGIES
) -> list[SummaryRow]:
    """Return the summary of ``records``, marked, in the order benchmark, strategy, metric.

    :param records: finished and failed runs.
    :param references: names of strategies that are never marked best.
    """
    return summarize(group_records(records, references=references))


def summarize(groups: Sequence[Group]) -> list[SummaryRow]:
    """See :func:`aggregate`."""
    rows = [row for group in groups for row in _rows_of(group)]
    found = {
        (benchmark, metric): marks(
            [group for group in groups if group.benchmark == benchmark and not group.reference],
            metric,
        )
        for benchmark, metric in {(row.benchmark, row.metric): None for row in rows}
    }
    return [
        replace(row, mark=found[row.benchmark, row.metric].get(row.strategy, "")) for row in rows
    ]


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation; NaN where there are too few values."""
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean()) if array.size else math.nan
    return mean, float(array.std(ddof=1)) if array.size > 1 else math.nan


def csv_text(rows: Iterable[SummaryRow]) -> str:
    """Return ``summary.csv``: full precision, ``nan`` for an unknown std, no row where n is 0."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        if row.n:
            names = map(csv_cell, (row.benchmark, row.strategy, row.metric))
            writer.writerow((*names, repr(row.mean), repr(row.std), row.n))
    return buffer.getvalue()


def wide_csv_text(rows: Sequence[SummaryRow]) -> str:
    """Return ``summary_wide.csv``: a line for each strategy on a benchmark, and of each metric
    mean, standard deviation and n beside each other; cells are empty where n is 0."""
    names = list(dict.fromkeys(row.metric for row in rows if row.n))
    lines: dict[tuple[str, str], dict[str, SummaryRow]] = {}
    for row in rows:
        lines.setdefault((row.benchmark, row.strategy), {})[row.metric] = row
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = [f"{name}{end}" for name in names for end in ("", "_std", "_n")]
    writer.writerow(("benchmark", "strategy", "failed", *map(csv_cell, columns)))
    for keys, found in lines.items():
        cells: list[str] = []
        for row in (found.get(name) for name in names):
            known = row is not None and row.n > 0
            cells += [repr(row.mean), repr(row.std), str(row.n)] if row and known else ["", "", "0"]
        failed = next(iter(found.values())).n_failed
        writer.writerow((*map(csv_cell, keys), failed, *cells))
    return buffer.getvalue()


def _rows_of(group: Group) -> list[SummaryRow]:
    known = [name for name in METRICS if "order_disparity" not in name and name != "failure_rate"]
    recorded = {name for record in group.records for name in record.metrics}
    rows = []
    for name in [*known, *sorted(recorded - set(METRICS))]:
        values = [record.metric(name) for record in group.finished]
        rows.append(_row(group, name, [value for value in values if not math.isnan(value)]))
    rows += _disparity_rows(group)
    failures = [0.0 if record.finished else 1.0 for record in group.records]
    return [*rows, _row(group, "failure_rate", failures)]


def _row(group: Group, metric: str, values: Sequence[float]) -> SummaryRow:
    mean, std = mean_and_std(values)
    return SummaryRow(
        benchmark=group.benchmark,
        strategy=group.strategy,
        metric=metric,
        mean=mean,
        std=std,
        n=len(values),
        n_failed=group.n_failed,
        values=tuple(values),
        reference=group.reference,
    )


def _disparity_rows(group: Group) -> list[SummaryRow]:
    """Order disparity, where a strategy met the tasks in at least two orders."""
    found = disparity(group)
    if found is None:
        return []
    return [
        replace(_row(group, name, ()), mean=value, n=found.orders)
        for name, value in (
            ("max_order_disparity", found.maximum),
            ("average_order_disparity", found.average),
        )
    ]

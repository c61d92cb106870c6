"""The summary tables as people read them, before they become HTML, Markdown or plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.derived.keys import columns, presentation
from cl_strategies.results.formatting import MISSING, scale_of, show
from cl_strategies.results.metrics import Metric

_NOT_IN_TABLE = frozenset({"relative_forgetting", "failure_rate", "weight_bytes", "packed_bytes"})
MARKS = {"best": "★", "level": "≈", "": ""}
"""Mark of a row -> the sign that shows it."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number in a table.

    :param text: the mean.
    :param spread: the standard deviation, ``""`` if it is not known.
    :param mark: ``"best"``, ``"level"`` or ``""``.
    :param leads: whether no other competitor has a better mean; it is bold, and no claim.
    :param sorted_by: what a reader sorts by: the mean itself, ``""`` where there is none.
    """

    text: str
    spread: str = ""
    mark: str = ""
    leads: bool = False
    sorted_by: str = ""

    @property
    def full(self) -> str:
        """Mean, spread and mark in one text."""
        spread = f" ± {self.spread}" if self.spread else ""
        return f"{self.text}{spread}{' ' + MARKS[self.mark] if self.mark else ''}"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One strategy.

    :param n: finished runs.
    :param n_failed: failed runs.
    """

    strategy: str
    reference: bool
    cells: tuple[Cell, ...]
    n: int
    n_failed: int

    @property
    def runs(self) -> str:
        """Finished runs, and the failed ones if there are any."""
        return f"{self.n} ({self.n_failed} failed)" if self.n_failed else str(self.n)


@dataclass(frozen=True, kw_only=True)
class Table:
    """The summary of one benchmark: competitors by average accuracy, then references."""

    benchmark: str
    headings: tuple[str, ...]
    metrics: tuple[str, ...]
    lines: tuple[Line, ...]


def benchmarks_of(rows: Iterable[SummaryRow]) -> list[str]:
    """Return labels of the benchmarks, sorted."""
    return sorted({row.benchmark for row in rows})


def rows_of(rows: Iterable[SummaryRow], benchmark: str, metric: str) -> list[SummaryRow]:
    """Return the rows of one metric on one benchmark."""
    return [row for row in rows if row.benchmark == benchmark and row.metric == metric]


def summary_table(
    rows: Sequence[SummaryRow], benchmark: str, metrics: Sequence[str] | None = None
) -> Table:
    """Return the table of ``benchmark``.

    :param rows: all rows of the report.
    :param metrics: the columns; those of the report when left out. A metric without a single
        value makes no column.
    """
    here = [row for row in rows if row.benchmark == benchmark]
    wanted = metrics or [name for name in columns() if name not in _NOT_IN_TABLE]
    shown = [name for name in wanted if any(row.metric == name and row.n for row in here)]
    largest = {
        name: max((abs(row.mean) for row in here if row.metric == name and row.n), default=0.0)
        for name in shown
    }
    found = {(row.strategy, row.metric): row for row in here}
    best = {name: _best_mean(here, name) for name in shown}
    totals = {row.strategy: row for row in here if row.metric == "failure_rate"}
    lines = [
        Line(
            strategy=name,
            reference=total.reference,
            cells=tuple(
                _cell(found.get((name, metric)), largest[metric], best[metric]) for metric in shown
            ),
            n=total.n - total.n_failed,
            n_failed=total.n_failed,
        )
        for name, total in totals.items()
    ]

    def rank(line: Line) -> tuple[bool, bool, float, str]:
        row = found[(line.strategy, "average_accuracy")]
        return line.reference, row.n == 0, -row.mean if row.n else 0.0, line.strategy

    return Table(
        benchmark=benchmark,
        headings=tuple(_heading(presentation(name), largest[name]) for name in shown),
        metrics=tuple(shown),
        lines=tuple(sorted(lines, key=rank)),
    )


def _heading(metric: Metric, largest: float) -> str:
    """Return bytes differ by orders of magnitude, so each cell has its own unit."""
    if metric.unit == "bytes":
        return metric.title
    unit = scale_of(metric.unit, largest)[1]
    return f"{metric.title} ({unit})" if unit else metric.title


def _best_mean(rows: Sequence[SummaryRow], metric: str) -> float | None:
    """Return the best mean of the competitors, if they have several."""
    higher = presentation(metric).higher_is_better
    means = {row.mean for row in rows if row.metric == metric and row.n and not row.reference}
    if higher is None or len(means) < 2:
        return None
    return max(means) if higher else min(means)


def _cell(row: SummaryRow | None, largest: float, best: float | None) -> Cell:
    if row is None or not row.n:
        return Cell(text=MISSING)
    unit = presentation(row.metric).unit
    own = unit == "bytes"  # of each cell: bytes differ by orders of magnitude
    known = row.std > 0 if own else row.n > 1 and row.std == row.std
    return Cell(
        text=show(row.mean, unit, largest=None if own else largest, symbol=own),
        spread=show(row.std, unit, largest=None if own else largest, symbol=own) if known else "",
        mark=row.mark,
        leads=row.mean == best and not row.reference,
        sorted_by=repr(row.mean),
    )

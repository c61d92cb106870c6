"""The rows of data frames: runs, matrices, curves, memories, evaluations during training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from cl_strategies.plugins.metrics.functional import average_accuracy
from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.comparison.pairs import PairTable
from cl_strategies.reports.reading.collection import Run
from cl_strategies.results.record import BOX_COLUMNS, EXEMPLAR_COLUMNS, RunRecord

Row = dict[str, Any]
WHO = ("benchmark", "strategy", "seed", "run")
RUNS = (*WHO, "order", "status", "error")
SUMMARY = ("benchmark", "strategy", "metric", "mean", "std", "n", "failed", "mark")
MATRIX = (*WHO, "after", "position", "task", "accuracy")
CURVES = (
    *WHO,
    "after",
    "task",
    "accuracy_seen",
    "train_seconds",
    "evaluation_seconds",
    "parameter_bytes",
    "method_state_bytes",
    "peak_memory_bytes",
)
EXEMPLARS = (*WHO, "after", "task", *EXEMPLAR_COLUMNS, *BOX_COLUMNS)
TRACE = (*WHO, "after", "iteration", "step", "position", "task", "accuracy")
PAIRS = ("benchmark", "a", "b", "n", "mean", "low", "high", "test", "p", "p_adjusted", "verdict")
Named = tuple[Run, str, str]


def summary_rows(rows: Sequence[SummaryRow]) -> Iterator[Row]:
    """Yield the lines of ``summary.csv``, with failed runs and marks."""
    for row in rows:
        if row.n:
            values = (row.benchmark, row.strategy, row.metric, row.mean, row.std, row.n)
            yield dict(zip(SUMMARY, (*values, row.n_failed, row.mark), strict=True))


def run_rows(runs: Sequence[Named]) -> Iterator[Row]:
    """Yield every run with its metrics; NaN where one is undefined."""
    for named in runs:
        record = named[0].record
        yield {
            **_who(named),
            "order": tuple(record.task_order),
            "status": record.status,
            "error": (record.error or {}).get("message"),
            **{name: record.metric(name) for name in record.metrics},
        }


def matrix_rows(runs: Sequence[Named]) -> Iterator[Row]:
    """Yield every accuracy that was measured."""
    for named in runs:
        record = named[0].record
        for after, row in enumerate(record.accuracy_matrix):
            for position, accuracy in enumerate(row):
                if accuracy is not None:
                    yield {
                        **_who(named),
                        "after": after,
                        "position": position,
                        "task": record.task_order[position],
                        "accuracy": accuracy,
                    }


def curve_rows(runs: Sequence[Named]) -> Iterator[Row]:
    """Yield what is known after each experience."""
    for named in runs:
        record = named[0].record
        matrix = record.matrix
        lists = {
            "train_seconds": record.seconds["train"],
            "evaluation_seconds": record.seconds["evaluation"],
            "parameter_bytes": record.bytes["parameters"],
            "method_state_bytes": record.bytes["method_state"],
            "peak_memory_bytes": record.memory["peak"],
        }
        for after in range(len(matrix)):
            yield {
                **_after(named, after),
                "accuracy_seen": average_accuracy(matrix[: after + 1, : after + 1]),
                **{name: _at(values, after) for name, values in lists.items()},
            }


def exemplar_rows(runs: Sequence[Named]) -> Iterator[Row]:
    """Yield what memories in bytes hold after each experience."""
    for named in runs:
        held = named[0].record.exemplars
        for after in range(max((len(values) for values in held.values()), default=0)):
            numbers = {
                name: _at(held.get(name, ()), after) for name in (*EXEMPLAR_COLUMNS, *BOX_COLUMNS)
            }
            yield {**_after(named, after), **numbers}


def trace_rows(runs: Sequence[Named]) -> Iterator[Row]:
    """Yield every accuracy that was measured during training."""
    for named in runs:
        trace = named[0].trace
        if trace is None:
            continue
        here = trace.after_updates
        where = [trace.column(name)[here] for name in ("experience", "iteration", "step")]
        for after, iteration, step, accuracies in zip(*where, trace.points, strict=True):
            for position, accuracy in enumerate(accuracies):
                if not math.isnan(accuracy):
                    yield {
                        **_who(named),
                        "after": int(after),
                        "iteration": int(iteration),
                        "step": int(step),
                        "position": position,
                        "task": trace.order[position],
                        "accuracy": float(accuracy),
                    }


def pair_rows(tables: Sequence[PairTable]) -> Iterator[Row]:
    """Yield strategies beside each other, as the report compares them."""
    for table in tables:
        for pair in table.pairs:
            low, high = pair.interval or (math.nan, math.nan)
            ends = {"benchmark": table.benchmark, "low": low, "high": high}
            yield {name: ends[name] if name in ends else getattr(pair, name) for name in PAIRS}


def _who(named: Named) -> Row:
    run, benchmark, strategy = named
    return dict(zip(WHO, (benchmark, strategy, run.record.seed, run.directory), strict=True))


def _after(named: Named, after: int) -> Row:
    record: RunRecord = named[0].record
    return {**_who(named), "after": after, "task": record.task_order[after]}


def _at(values: Sequence[float | None], place: int) -> float:
    value = values[place] if place < len(values) else None
    return math.nan if value is None else value

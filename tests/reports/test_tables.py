from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import pytest

from cl_strategies.reports.analysis.tables import CSV_COLUMNS, SummaryRow, aggregate, csv_text


def _row(rows: list[SummaryRow], metric: str, strategy: str = "synthetic-a") -> SummaryRow:
    (row,) = [row for row in rows if row.metric == metric and row.strategy == strategy]
    return row


def _with(make_record, strategy: str, *accuracies: float) -> list:
    return [
        make_record(strategy, seed=seed, metrics={"average_accuracy": value})
        for seed, value in enumerate(accuracies)
    ]


def test_mean_and_sample_deviation_by_hand(make_record) -> None:
    rows = aggregate(_with(make_record, "synthetic-a", 0.70, 0.80, 0.75))
    row = _row(rows, "average_accuracy")
    assert row.mean == pytest.approx(0.75, abs=1e-15)
    assert row.std == pytest.approx(0.05, abs=1e-15)  # sqrt((.05^2 + .05^2) / 2)
    assert (row.n, row.n_failed, row.values) == (3, 0, (0.70, 0.80, 0.75))


def test_a_single_run_has_no_spread(make_record) -> None:
    row = _row(aggregate([make_record()]), "forgetting")
    assert row.n == 1
    assert math.isnan(row.std)


def test_failed_runs_are_counted_and_not_averaged(make_record) -> None:
    records = [*_with(make_record, "synthetic-a", 0.5, 0.7), make_record(seed=2, failed=True)]
    rows = aggregate(records)
    assert _row(rows, "average_accuracy").mean == pytest.approx(0.6)
    assert _row(rows, "average_accuracy").n == 2
    assert _row(rows, "average_accuracy").n_failed == 1
    assert _row(rows, "failure_rate").mean == pytest.approx(1 / 3)
    assert _row(rows, "failure_rate").n == 3


def test_all_runs_failed(make_record) -> None:
    rows = aggregate([make_record(failed=True)])
    assert _row(rows, "average_accuracy").n == 0
    lines = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert [(line["metric"], line["mean"]) for line in lines] == [("failure_rate", "1.0")]


def test_undefined_metrics_have_no_line_in_the_csv(make_record, joint_matrix) -> None:
    rows = aggregate([make_record("joint", matrix=joint_matrix)])
    metrics = {line["metric"] for line in csv.DictReader(io.StringIO(csv_text(rows)))}
    assert "average_accuracy" in metrics
    assert "forgetting" not in metrics
    assert _row(rows, "forgetting", "joint").n == 0


def test_csv_has_the_promised_columns_in_full_precision(make_record) -> None:
    value = 0.1 + 0.2  # 0.30000000000000004
    rows = aggregate(_with(make_record, "synthetic-a", value, value))
    text = csv_text(rows)
    assert text.splitlines()[0] == "benchmark,strategy,metric,mean,std,n" == ",".join(CSV_COLUMNS)
    assert "synthetic-stream,synthetic-a,average_accuracy,0.30000000000000004,0.0,2\n" in text


def test_csv_keeps_odd_names_in_one_field(make_record) -> None:
    text = csv_text(aggregate([make_record('a,"b"\nc')]))
    assert {line["strategy"] for line in csv.DictReader(io.StringIO(text))} == {'a,"b"\nc'}


def test_the_best_is_better_than_every_other(make_record) -> None:
    rows = aggregate(
        [
            *_with(make_record, "best", 0.80, 0.83, 0.81, 0.84, 0.82),
            *_with(make_record, "worse", 0.70, 0.71, 0.71, 0.72, 0.71),
            *_with(make_record, "joint", 0.99, 0.98, 0.99, 0.98, 0.99),
        ]
    )
    marks = {row.strategy: row.mark for row in rows if row.metric == "average_accuracy"}
    assert marks == {"best": "best", "worse": "", "joint": ""}


def test_who_is_not_shown_to_be_worse_cannot_be_told_apart(make_record) -> None:
    rows = aggregate(
        [
            *_with(make_record, "first", 0.80, 0.83, 0.81, 0.84, 0.82),
            *_with(make_record, "second", 0.82, 0.80, 0.81, 0.83, 0.81),
            *_with(make_record, "worse", 0.30, 0.33, 0.31, 0.33, 0.32),
        ]
    )
    marks = {row.strategy: row.mark for row in rows if row.metric == "average_accuracy"}
    assert marks == {"first": "level", "second": "level", "worse": ""}


def test_less_is_better_for_forgetting(make_record) -> None:
    keeps = {"forgetting": 0.1, "backward_transfer": -0.1}
    loses = {"forgetting": 0.5, "backward_transfer": -0.5}
    rows = aggregate(
        make_record(name, seed=seed, metrics={k: v + 0.01 * seed for k, v in metrics.items()})
        for name, metrics in (("keeps", keeps), ("loses", loses))
        for seed in range(6)
    )
    assert _row(rows, "forgetting", "keeps").mark == "best"
    assert _row(rows, "backward_transfer", "keeps").mark == "best"
    assert _row(rows, "forgetting", "loses").mark == ""


def test_a_single_run_of_each_proves_nothing(make_record) -> None:
    rows = aggregate([*_with(make_record, "a", 0.8), *_with(make_record, "b", 0.3)])
    assert {row.mark for row in rows} == {""}


def test_runs_are_paired_by_seed_and_failed_ones_are_no_pair(make_record) -> None:
    """What the seeds have in common cancels: apart, these means differ by less than the spread."""
    seeds = (0.1, 0.9, 0.3, 0.7, 0.5, 0.6)
    records = _with(make_record, "a", *(value + 0.02 for value in seeds))
    records += _with(make_record, "b", *seeds)
    marks = {row.strategy: row.mark for row in aggregate(records) if row.metric == "forgetting"}
    assert set(marks.values()) == {""}  # all equal
    assert _row(aggregate(records), "average_accuracy", "a").mark == "best"
    records += [make_record("a", seed=6, failed=True), *_with(make_record, "b", *seeds, 0.99)[-1:]]
    assert _row(aggregate(records), "average_accuracy", "a").mark == "best"


def test_runs_of_other_seeds_are_no_pairs(make_record) -> None:
    records = [
        make_record(name, seed=seed, metrics={"average_accuracy": value})
        for name, value, seeds in (("a", 0.9, range(6)), ("b", 0.1, range(10, 16)))
        for seed in seeds
    ]
    assert {row.mark for row in aggregate(records)} == {""}


def test_an_order_of_several_seeds_counts_once(make_record) -> None:
    """Six cells, but two orders: nothing can be said of orders."""
    records = [
        make_record(
            name,
            seed=seed,
            order=order,
            tasks=2,
            benchmark_options={"order": order},
            metrics={"average_accuracy": value + 0.01 * seed * (1 + order[0])},
        )
        for name, value in (("a", 0.9), ("b", 0.88))
        for order in ([0, 1], [1, 0])
        for seed in range(3)
    ]
    records = [
        replace(
            record,
            metrics={
                **record.metrics,
                "average_accuracy": record.metrics["average_accuracy"]
                + (0.01 if record.strategy == "a" and record.task_order[0] else 0.0),
            },
        )
        for record in records
    ]
    marks = {r.strategy: r.mark for r in aggregate(records) if r.metric == "average_accuracy"}
    assert marks == {"a": "level", "b": "level"}


def test_nothing_is_best_where_all_are_equal_or_alone(make_record) -> None:
    rows = aggregate(make_record(name, seed=seed) for name in ("a", "b") for seed in range(3))
    assert {row.mark for row in rows if row.metric == "parameter_bytes"} == {""}
    assert {row.mark for row in aggregate([make_record()])} == {""}


def test_other_references_can_be_named(make_record) -> None:
    records = [
        record
        for name, level in (("a", 0.9), ("b", 0.5), ("c", 0.3))
        for record in _with(make_record, name, *(level + 0.01 * k for k in (0, 2, 1, 3, 2, 2)))
    ]
    rows = aggregate(records, references=frozenset({"a"}))
    assert _row(rows, "average_accuracy", "b").mark == "best"
    assert _row(rows, "average_accuracy", "a").mark == ""


def test_order_disparity_follows_the_original_task(make_record) -> None:
    first = [[0.9, None], [0.6, 0.9]]  # order 0, 1: task 0 ends at 0.6, task 1 at 0.9
    second = [[0.9, None], [0.8, 0.7]]  # order 1, 0: task 1 ends at 0.8, task 0 at 0.7
    rows = aggregate(
        [make_record(matrix=first, order=[0, 1]), make_record(matrix=second, order=[1, 0])]
    )
    assert _row(rows, "max_order_disparity").mean == pytest.approx(0.1)
    assert _row(rows, "average_order_disparity").mean == pytest.approx(0.1)
    assert _row(rows, "max_order_disparity").n == 2


def test_one_order_has_no_disparity(make_record) -> None:
    rows = aggregate([make_record(), make_record(seed=1)])
    assert not [row for row in rows if "disparity" in row.metric]


def test_metrics_of_third_parties_are_kept(make_record) -> None:
    row = _row(aggregate([make_record(metrics={"joules": 2.5})]), "joules")
    assert (row.mean, row.mark) == (2.5, "")


@pytest.mark.parametrize("name", ["=1+1", "+cmd|' /C calc'!A0", "-x", "@SUM(A1)", "\tx"])
def test_no_cell_is_a_formula(make_record, name) -> None:
    record = make_record("synthetic-a")
    (row, *_) = aggregate([record])
    (cells,) = list(csv.reader(io.StringIO(csv_text([replace(row, strategy=name)]))))[1:]
    assert cells[1] == f"'{name}"
    assert float(cells[3]) == row.mean

from __future__ import annotations

import pytest

from cl_strategies.errors import UserError
from cl_strategies.reports.analysis.grouping import group_records


def _labels(records) -> list[tuple[str, str, int]]:
    return [(g.benchmark, g.strategy, len(g.records)) for g in group_records(records)]


def test_seeds_and_orders_are_repetitions(make_record) -> None:
    records = [
        make_record(seed=seed, order=order, benchmark_options={"order": option})
        for seed, order, option in [(1, [0, 1, 2], None), (0, [2, 1, 0], 7), (0, [1, 0, 2], 8)]
    ]
    assert _labels(records) == [("synthetic-stream", "synthetic-a", 3)]
    assert [record.seed for record in group_records(records)[0].records] == [0, 0, 1]


def test_another_hyperparameter_is_another_variant(make_record) -> None:
    records = [
        make_record(options={"c": 0.5}),
        make_record(options={"c": 0.5}, seed=1),
        make_record(options={"c": 1.0}),
        make_record("synthetic-b", train={"lr": 0.1}),
        make_record("synthetic-b"),
    ]
    assert _labels(records) == [
        ("synthetic-stream", "synthetic-a (c=0.5)", 2),
        ("synthetic-stream", "synthetic-a (c=1.0)", 1),
        ("synthetic-stream", "synthetic-b (train.lr=0.1)", 1),
        ("synthetic-stream", "synthetic-b (train.lr=unset)", 1),
    ]


def test_another_stream_is_another_benchmark(make_record) -> None:
    records = [
        make_record(benchmark_options={"fraction": 0.5, "data_root": "/a"}),
        make_record(benchmark_options={"fraction": 1.0, "data_root": "/b"}),
        make_record(benchmark_options={"fraction": 1.0, "data_root": "/c"}, seed=1),
    ]
    assert _labels(records) == [
        ("synthetic-stream (fraction=0.5)", "synthetic-a", 1),
        ("synthetic-stream (fraction=1.0)", "synthetic-a", 2),
    ]


def test_labels_stay_distinct_when_long_values_are_cut(make_record) -> None:
    layers = [[100] * 20 + [last] for last in (1, 2)]
    labels = [g.strategy for g in group_records(make_record(options={"w": w}) for w in layers)]
    assert len(set(labels)) == 2
    assert all(len(label) < 60 for label in labels)


def test_references_are_known_by_name_not_by_label(make_record) -> None:
    groups = group_records([make_record("joint", options={"x": x}) for x in (1, 2)])
    assert [group.reference for group in groups] == [True, True]


def test_repetitions_with_different_numbers_of_tasks_are_refused(make_record) -> None:
    (group,) = group_records([make_record(tasks=2), make_record(tasks=3, seed=1)])
    with pytest.raises(UserError, match="2 and 3 tasks"):
        _ = group.matrices

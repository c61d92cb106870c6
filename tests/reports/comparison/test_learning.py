"""Low forgetting is no merit where little was learnt."""

from __future__ import annotations

import pytest

from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.comparison.learning import less_learnt


def suite(make_record, learnt: float, drop: float):
    return group_records(
        make_record(
            name,
            seed=seed,
            metrics={
                "average_accuracy": accuracy + 0.01 * (seed % 3),
                "forgetting": forgetting + 0.01 * ((2 * seed) % 3),
                "learning_accuracy": learning + 0.01 * ((seed + 1) % 3),
            },
        )
        for name, accuracy, forgetting, learning in (
            ("learns", 0.8, 0.3, 0.9),
            ("holds", 0.6, drop, learnt),
        )
        for seed in range(6)
    )


def test_it_is_said_where_both_are_shown(make_record) -> None:
    (found,) = less_learnt(suite(make_record, learnt=0.7, drop=0.1), "synthetic-stream")
    assert (found.name, found.text) == (
        "holds",
        "forgets less than learns because less was learnt: its learning accuracy is 20.0 points "
        "lower.",
    )


@pytest.mark.parametrize(("learnt", "drop"), [(0.9, 0.1), (0.7, 0.3), (0.7, 0.5)])
def test_it_is_not_said_where_one_of_them_is_not(make_record, learnt: float, drop: float) -> None:
    assert less_learnt(suite(make_record, learnt, drop), "synthetic-stream") == []


def test_one_strategy_has_nothing_beside_it(make_record) -> None:
    assert less_learnt(group_records([make_record()]), "synthetic-stream") == []

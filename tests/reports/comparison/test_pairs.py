"""Tables of pairs, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.comparison.pairs import pair_table, pair_tables
from cl_strategies.reports.comparison.sentences import limits, p_value, sentence

#: Five runs of two methods; the differences have the mean 1.36 points.
A = (0.7120, 0.6940, 0.7310, 0.7020, 0.7250)
B = (0.7010, 0.6890, 0.7090, 0.6900, 0.7070)


def runs(make_record, name, values, **options):
    return [
        make_record(name, seed=seed, metrics={"average_accuracy": value}, **options)
        for seed, value in enumerate(values)
    ]


@pytest.fixture
def table(make_record):
    groups = group_records([*runs(make_record, "b", B), *runs(make_record, "a", A)])
    return pair_table(groups, "synthetic-stream")


def test_a_pair_is_what_scipy_says(table) -> None:
    (pair,) = table.pairs
    d = np.array(A) - np.array(B)
    low, high = stats.t.interval(0.95, 4, d.mean(), stats.sem(d))
    assert (pair.a, pair.b, pair.n, table.m) == ("a", "b", 5, 1)
    assert pair.mean == pytest.approx(d.mean())
    assert pair.interval == pytest.approx((low, high))
    assert pair.p == pytest.approx(stats.ttest_rel(A, B).pvalue)
    assert pair.exact_p == pytest.approx(2 / 2**5) == pair.floor
    assert (pair.test, pair.verdict, table.least) == ("t", "better", 6)


def test_a_difference_is_said_with_interval_test_and_floor(table) -> None:
    assert sentence(table.pairs[0], table) == (
        "a beats b by 1.4 points (95 % interval 0.5 to 2.2, n = 5 pairs); exact sign-flip p "
        "= 0.063, the least possible with 5 pairs; paired t test p = 0.010."
    )
    assert "An exact test cannot decide with 5 pairs" in limits(table)
    assert "at least 6 pairs" in limits(table)


def test_six_pairs_are_judged_by_the_exact_test(make_record) -> None:
    records = [*runs(make_record, "a", (*A, 0.72)), *runs(make_record, "b", (*B, 0.70))]
    (found,) = pair_tables(group_records(records))
    (pair,) = found.pairs
    assert (pair.test, pair.p) == ("sign-flip", pytest.approx(2 / 2**6))
    assert limits(found) == ""
    assert sentence(pair, found).endswith("p = 0.031, the least possible with 6 pairs.")


def test_what_is_not_decided_says_how_many_pairs_it_would_take(make_record) -> None:
    records = [
        *runs(make_record, "a", (0.7, 0.75, 0.8)),
        *runs(make_record, "b", (0.72, 0.7, 0.79)),
    ]
    (found,) = pair_tables(group_records(records))
    (pair,) = found.pairs
    assert pair.verdict == "undecided"
    assert pair.needed > 3
    assert f"about {pair.needed} would settle a difference of 1.3 points" in sentence(pair, found)


def test_small_differences_of_small_spread_are_equivalent(make_record) -> None:
    shift = (0.001, -0.001, 0.002, -0.002, 0.001, -0.0005)
    base = [0.8] * 6
    records = [
        *runs(make_record, "a", base),
        *runs(make_record, "b", [x + d for x, d in zip(base, shift, strict=True)]),
    ]
    (found,) = pair_tables(group_records(records))
    assert sentence(found.pairs[0], found) == "b and a are equivalent within ±1 point."


def test_a_failed_run_drops_its_pair(make_record) -> None:
    records = [*runs(make_record, "a", A), *runs(make_record, "b", B[:4])]
    records.append(make_record("b", seed=4, failed=True))
    (found,) = pair_tables(group_records(records))
    assert (found.pairs[0].n, found.pairs[0].dropped) == (4, 1)


def test_more_than_twelve_strategies_are_shown_beside_the_leader_only(make_record) -> None:
    records = [
        record
        for k in range(14)
        for record in runs(make_record, f"s{k:02d}", [0.3 + 0.04 * k + x for x in (0, 0.01, 0.02)])
    ]
    (found,) = pair_tables(group_records(records))
    assert found.m == 14 * 13 / 2
    assert {pair.a for pair in found.pairs} == {"s13"}
    assert len(found.pairs) == 13


def test_one_run_of_each_is_a_pair_without_an_interval(make_record) -> None:
    records = [*runs(make_record, "a", A[:1]), *runs(make_record, "b", B[:1])]
    (found,) = pair_tables(group_records(records))
    assert (found.pairs[0].interval, found.pairs[0].verdict) == (None, "undecided")
    assert "nothing can be decided" in limits(found)


def test_references_and_strangers_are_not_compared(make_record) -> None:
    records = [*runs(make_record, "a", A), *runs(make_record, "joint", B)]
    assert pair_tables(group_records(records)) == []
    apart = [*runs(make_record, "a", A[:1]), make_record("b", seed=9)]
    assert pair_tables(group_records(apart)) == []


@pytest.mark.parametrize(
    ("p", "text"), [(0.0625, "0.063"), (0.4, "0.40"), (0.00001, "below 0.001"), (1.0, "1.00")]
)
def test_p_values_have_two_digits(p: float, text: str) -> None:
    assert p_value(p) == text

"""Several benchmarks, several orders."""

from __future__ import annotations

import pytest
from scipy import stats

from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.tables import summarize
from cl_strategies.reports.comparison.components import share_findings, split, split_tables
from cl_strategies.reports.comparison.pairs import pair_tables
from cl_strategies.reports.comparison.streams import ranks, wins
from cl_strategies.reports.plots.pairs.figures import forest_figures, rank_figure
from cl_strategies.statistics import variance_components


def suite(make_record, benchmarks: int, levels: dict[str, float]):
    return [
        make_record(
            name,
            benchmark=f"stream-{b}",
            seed=seed,
            metrics={"average_accuracy": level + 0.01 * ((seed * (3 + len(name)) + b) % 4)},
        )
        for b in range(benchmarks)
        for name, level in levels.items()
        for seed in range(7)
    ]


def test_wins_ties_and_losses_count_verdicts(make_record) -> None:
    records = suite(make_record, 3, {"a": 0.8, "b": 0.8, "c": 0.5})
    found = wins(pair_tables(group_records(records)))
    assert found.counts["a", "c"] == (3, 0, 0)
    assert found.counts["c", "a"] == (0, 0, 3)
    assert found.counts["a", "b"] == (0, 3, 0)
    assert found.total("c") == (0, 0, 6)
    assert found.lines[-1] == ("c", "0 / 0 / 3", "0 / 0 / 3", "", "0 / 0 / 6")
    assert wins(pair_tables(group_records(records))[:1]) is None


def test_ranks_take_eight_benchmarks(make_record) -> None:
    levels = {"a": 0.8, "bb": 0.7, "ccc": 0.5}
    rows = summarize(group_records(suite(make_record, 8, levels)))
    found = ranks(rows, "average_accuracy")
    assert [float(rank) for rank in found.friedman.mean_ranks] == [1.0, 2.0, 3.0]
    columns = [
        [r.mean for r in rows if (r.strategy, r.metric) == (n, "average_accuracy")] for n in levels
    ]
    assert found.friedman.chi2_tie_corrected == pytest.approx(
        stats.friedmanchisquare(*columns).statistic
    )
    figure = rank_figure(found)
    assert figure.svg.startswith("<svg") and len(figure.alt) <= 300
    seven = [row for row in rows if row.benchmark != "stream-0"]
    assert ranks(seven, "average_accuracy") is None
    assert rank_figure(None) is None


def test_the_forest_names_every_strategy_and_its_verdict(make_record) -> None:
    records = suite(make_record, 1, {"a": 0.8, "b": 0.8, "c": 0.5})
    (figure,) = forest_figures(pair_tables(group_records(records)))
    assert ">c</text>" in figure.svg and ">worse</text>" in figure.svg
    assert "0 of 2 undecided" in figure.alt and len(figure.alt) <= 300


def ordered(make_record, table, seeds_of=lambda r: (0, 1)):
    orders = ([0, 1, 2], [1, 2, 0], [2, 0, 1])
    return [
        make_record(
            seed=seed,
            order=orders[r],
            benchmark_options={"order": orders[r]},
            metrics={"average_accuracy": value},
        )
        for r, row in enumerate(table)
        for seed, value in zip(seeds_of(r), row, strict=True)
    ]


TABLE = [[0.80, 0.82], [0.70, 0.71], [0.75, 0.78]]


def test_the_same_seeds_in_every_order_split_off_the_seed(make_record) -> None:
    (group,) = group_records(ordered(make_record, TABLE))
    found, expected = split(group), variance_components(TABLE).crossed
    assert (found.orders, found.seeds) == (3, 2)
    assert found.order == pytest.approx(expected.order_share)
    assert found.seed == pytest.approx(expected.seed_share)
    assert found.order + found.seed + found.rest == pytest.approx(1)
    (table,) = split_tables([group])
    (sentence,) = share_findings(table)
    assert sentence.text.startswith(f"Order explains {100 * found.order:.0f} % of the variance")


def test_other_seeds_in_each_order_leave_the_seed_in_the_rest(make_record) -> None:
    records = ordered(make_record, TABLE, seeds_of=lambda r: (2 * r, 2 * r + 1))
    found = split(group_records(records)[0])
    assert found.order == pytest.approx(variance_components(TABLE).nested.icc)
    assert found.seed is None and "other seeds" in found.note


def test_one_seed_or_one_order_has_no_split(make_record) -> None:
    single = ordered(make_record, [[0.8], [0.7], [0.6]], seeds_of=lambda r: (0,))
    groups = group_records(single)
    assert split(groups[0]).order is None
    assert split_tables(groups) == []
    assert split(group_records(ordered(make_record, TABLE[:1]))[0]) is None

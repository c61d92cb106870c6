"""What is stored at the end of a stream, beside accuracy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.tables import summarize
from cl_strategies.reports.plots.palette import assign_styles
from cl_strategies.reports.sections.growth import growth_figure, growth_tables


def storing(record, model, state=(0, 0, 0)):
    return replace(record, bytes={"parameters": model, "method_state": state})


def tables(*records):
    groups = group_records(records)
    return growth_tables(groups, summarize(groups))


def test_growth_is_over_one_network_and_the_least_comes_first(make_record) -> None:
    records = [
        storing(make_record("synthetic-a", seed=0), (100, 110, 120), (0, 10, 30)),
        storing(make_record("synthetic-a", seed=1), (100, 110, 130), (0, 10, 40)),
        storing(make_record("synthetic-b", keep=0.5), (100, 100, 100)),
    ]
    (table,) = tables(*records)
    assert table.benchmark == "synthetic-stream"
    assert [row.mean for row in table.growths] == pytest.approx([0.0, 0.6])
    assert table.growths[1].values == pytest.approx([0.5, 0.7])
    assert table.growths[1].std == pytest.approx(0.02**0.5)
    assert [name for name, _ in table.lines] == ["synthetic-b", "synthetic-a"]
    growth, _, runs = table.lines[1][1]
    assert growth.split() == ["0.600", "±", "0.141"] and runs == "2"
    assert table.accuracies[0].mean == records[2].metric("average_accuracy")


def test_all_are_relative_to_the_network_of_single_task(make_record) -> None:
    records = [
        storing(make_record("synthetic-a"), (10, 20, 30)),
        storing(make_record("single-task"), (100, 100, 100), (0, 100, 200)),
    ]
    (table,) = tables(*records)
    assert {row.strategy: row.mean for row in table.growths} == pytest.approx(
        {"synthetic-a": -0.7, "single-task": 2.0}
    )


def test_there_is_no_table_where_nothing_keeps_growing(make_record) -> None:
    constant = storing(make_record("synthetic-a"), (100, 100, 100), (0, 50, 50))
    flat = storing(make_record("synthetic-b"), (100, 100, 100))
    unrecorded = storing(make_record("synthetic-c"), (), ())
    grown = storing(make_record("synthetic-d"), (100, 110, 120))
    assert tables(constant, flat) == tables(unrecorded, flat) == tables(grown) == []
    (table,) = tables(constant, flat, unrecorded, grown)
    assert {row.strategy for row in table.growths} == {"synthetic-a", "synthetic-b", "synthetic-d"}


def test_the_figure_joins_the_settings_of_a_method(make_record) -> None:
    records = [
        storing(make_record("synthetic-a", options={"size": n}), (100, 100 + n, 100 + 2 * n))
        for n in (10, 40)
    ]
    other = storing(make_record("synthetic-b"), (100, 100, 100))
    (joined,) = tables(*records, other)
    styles = assign_styles(joined.methods)
    assert set(joined.methods.values()) == {"synthetic-a", "synthetic-b"}
    figure = growth_figure(joined, styles, "grown")
    alone = growth_figure(replace(joined, methods={}), styles, "grown")
    assert figure.svg.startswith("<svg") and "relative to one network" in figure.svg
    assert figure.svg.count("<path") == alone.svg.count("<path") + 1
    assert "1.80 times" in figure.alt and "1.00 times" in figure.alt

from __future__ import annotations

import re

import numpy as np
import pytest

from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.orders import (
    HEADINGS,
    disparity,
    disparity_tables,
    final_by_order,
)
from cl_strategies.reports.plots.figures_stream import order_figures
from cl_strategies.reports.plots.palette import assign_styles
from cl_strategies.results.formatting import MISSING


def final(order, accuracies, make_record, **options):
    """A run that ends with these accuracies of the tasks, given by original index."""
    last = [accuracies[task] for task in order]
    rows = [[0.5] * (t + 1) + [None] * (len(order) - t - 1) for t in range(len(order) - 1)]
    options = {"benchmark_options": {"order": list(order)}, **options}
    return make_record(matrix=[*rows, last], order=order, **options)


def test_tasks_are_compared_by_their_original_index(make_record) -> None:
    records = [
        final([0, 1, 2], [0.9, 0.8, 0.7], make_record),
        final([2, 0, 1], [0.8, 0.8, 0.4], make_record),
    ]
    (group,) = group_records(records)
    found = disparity(group)
    np.testing.assert_allclose(found.per_task, [0.1, 0.0, 0.3], atol=1e-12)
    assert found.maximum == pytest.approx(0.3)
    assert found.average == pytest.approx(0.4 / 3)
    assert found.orders == 2


def test_seeds_of_an_order_are_averaged_before_orders_are_compared(make_record) -> None:
    records = [
        final([0, 1], [0.9, 0.5], make_record),
        final([0, 1], [0.7, 0.5], make_record, seed=1),
        final([1, 0], [0.8, 0.6], make_record),
    ]
    np.testing.assert_allclose(final_by_order(records), [[0.8, 0.5], [0.8, 0.6]])
    (group,) = group_records(records)
    np.testing.assert_allclose(disparity(group).per_task, [0.0, 0.1], atol=1e-12)


def test_one_order_or_an_unmeasured_task_has_no_disparity(make_record) -> None:
    (one,) = group_records([final([0, 1], [0.9, 0.5], make_record)])
    assert disparity(one) is None
    gap = [final([0, 1], [0.9, None], make_record), final([1, 0], [0.9, 0.8], make_record)]
    (group,) = group_records(gap)
    assert disparity(group) is None
    assert disparity_tables([one, group]) == []


def test_table_and_figure_list_strategies_by_average_and_name_every_task(make_record) -> None:
    records = []
    for strategy, drop in (("a", 0.3), ("b", 0.1)):
        for order, second in (([0, 1], 0.6), ([1, 0], 0.6 - drop)):
            records.append(final(order, [0.9, second], make_record, strategy=strategy))
    groups = group_records(records)
    (table,) = disparity_tables(groups)
    assert table.headings == ("Task 0", "Task 1", *HEADINGS)
    assert table.lines == [
        ("b", "0.0", "10.0", "10.0", "5.0", "unknown", MISSING, MISSING),
        ("a", "0.0", "30.0", "30.0", "15.0", "unknown", MISSING, MISSING),
    ]
    (figure,) = order_figures([table], assign_styles({"a": "a", "b": "b"}))
    numbers = re.findall(r">(\d)</text>", figure.svg)
    assert numbers.count("1") >= 2
    assert "a 15.0 (at most 30.0), b 5.0 (at most 10.0)" in figure.alt


def test_the_noise_floor_is_that_of_seeds_and_takes_two_of_each_order(make_record) -> None:
    runs = [
        final([0, 1], [0.90, 0.50], make_record),
        final([0, 1], [0.70, 0.54], make_record, seed=1),
        final([1, 0], [0.80, 0.60], make_record),
        final([1, 0], [0.84, 0.60], make_record, seed=1),
    ]
    (table,) = disparity_tables(group_records(runs))
    (item,) = table.items
    assert item.average == pytest.approx((0.02 + 0.08) / 2)
    # standard deviations within orders, 2 degrees of freedom; d2 of 2 orders; c4 of 2
    sds = [((2 * 0.1**2 + 2 * 0.02**2) / 2) ** 0.5, (2 * 0.02**2 / 2) ** 0.5]
    c4 = 0.886226925452758
    floor = np.mean([1.1283791670955126 * sd / np.sqrt(2) / c4 for sd in sds])
    assert item.floor == pytest.approx(floor)
    assert item.noise_cells[0] == f"{100 * floor:.1f}"
    (figure,) = order_figures([table], assign_styles({"synthetic-a": "synthetic-a"}))
    assert "stroke-dasharray" in figure.svg

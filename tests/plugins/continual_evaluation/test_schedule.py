"""When to evaluate: first, last, and as often as the budget allows."""

import math
from itertools import pairwise

import pytest

from cl_strategies.plugins.continual_evaluation.schedule import (
    LEAST,
    MOST,
    TraceSchedule,
    affordable_samples,
    cost_of,
    within_budget,
)


def taken(schedule, iterations):
    """The iterations that are evaluated; the last one always is."""
    return sorted({i for i in range(1, iterations + 1) if schedule.due(i)} | {iterations})


@pytest.mark.parametrize("iterations", [1, 2, 7, 90, 1000, 12_345])
@pytest.mark.parametrize("cost", [0.01, 0.1, 1.0, 50.0])
@pytest.mark.parametrize("sizes", [[200], [100] * 5, [200] * 20])
def test_the_budget_is_kept_beyond_the_first_and_the_last_point(iterations, cost, sizes):
    plan = within_budget(cost=cost, iterations=iterations, batch_size=64, sizes=sizes, dense=50)
    points = taken(plan, iterations)
    assert points[0] == 1
    assert len(points) == plan.points(iterations)
    spent = len(points) * cost_of(sizes, 64) + cost_of(sizes[-1:], 64)
    assert len(points) <= 2 or spent <= cost * iterations + 1e-9


def test_the_cost_of_large_sub_samples_is_that_of_forward_passes():
    assert cost_of([200] * 10, 8) == pytest.approx(10 * 200 / (3 * 8))
    assert cost_of([10] * 3, 64) == 3  # never below one iteration each


def test_the_start_is_dense_and_the_rest_even():
    plan = within_budget(cost=1.0, iterations=200, batch_size=64, sizes=[10] * 4, dense=50)
    points = taken(plan, 200)
    assert points[: plan.dense] == list(range(1, plan.dense + 1))
    assert len({b - a for a, b in pairwise(points[plan.dense : -1])}) == 1


def test_without_a_known_length_the_period_keeps_the_budget():
    plan = within_budget(cost=0.1, iterations=None, batch_size=8, sizes=[96, 96], dense=50)
    assert plan == TraceSchedule(1, math.ceil(2 * 96 / (3 * 8) / 0.1))


def test_a_given_period_is_taken_as_it_is():
    assert taken(TraceSchedule(3, 10), 30) == [1, 2, 3, 13, 23, 30]


def test_sub_samples_shrink_until_the_last_experience_has_some_points():
    long = affordable_samples(cost=0.1, iterations=10**6, batch_size=64, experiences=10)
    short = affordable_samples(cost=0.1, iterations=90, batch_size=32, experiences=5)
    tiny = affordable_samples(cost=0.1, iterations=9, batch_size=2, experiences=5)
    assert (long, short, tiny) == (MOST, 96, LEAST)
    assert affordable_samples(cost=0.1, iterations=None, batch_size=2, experiences=5) == MOST

"""Means by iteration, what stays lost, and recovery: against loops over single iterations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics import functional as f

POINTS = np.array(
    [
        [0.5, np.nan, np.nan],
        [0.9, np.nan, np.nan],
        [0.4, 0.3, np.nan],
        [0.7, 0.8, np.nan],
        [0.5, 0.2, 0.4],
        [0.65, 0.7, 0.9],
    ]
)
LAST, STEPS = [1, 3, 5], [1, 5, 6, 15, 20, 30]


def test_a_point_stands_for_the_iterations_since_the_one_before():
    at = np.searchsorted(STEPS, np.arange(1, 31))  # the point of each iteration
    task = np.searchsorted(LAST, at)
    seen = [np.mean(POINTS[p, : k + 1]) for p, k in zip(at, task, strict=True)]
    found = f.average_anytime_accuracy_by_iteration(POINTS, LAST, STEPS)
    assert found == pytest.approx(np.mean(seen))
    own = [
        np.mean([POINTS[p, k] for p, t in zip(at, task, strict=True) if t == k]) for k in range(3)
    ]
    assert f.learning_curve_by_iteration(POINTS, LAST, STEPS) == pytest.approx(np.mean(own))


def test_even_points_give_the_mean_over_points():
    even = f.average_anytime_accuracy_by_iteration(POINTS, LAST, [3, 6, 9, 12, 15, 18])
    assert even == pytest.approx(f.average_anytime_accuracy(POINTS, LAST))


def test_what_stays_lost_and_when_the_rest_is_back():
    permanent = [0.9 - 0.7, 0.7 - 0.65, 0.8 - 0.7]
    assert f.stability_gap_mean_permanent(POINTS, LAST) == pytest.approx(np.mean(permanent))
    back = [15 - 5, 30 - 15, 30 - 15]  # each at the last point of the new experience
    found = f.stability_gap_mean_recovery_iterations(POINTS, LAST, STEPS)
    assert found == pytest.approx(np.mean(back))


def test_one_experience_has_none_and_a_gap_leaves_it_unknown():
    one = POINTS[:2, :1]
    assert math.isnan(f.stability_gap_mean_permanent(one, [1]))
    assert math.isnan(f.stability_gap_mean_recovery_iterations(one, [1], [1, 5]))
    gap = POINTS.copy()
    gap[4, 0] = np.nan
    assert math.isnan(f.stability_gap_mean_recovery_iterations(gap, LAST, STEPS))


@pytest.mark.parametrize("steps", [[1, 2], [0, 1, 2, 3, 4, 5], [1, 3, 2, 4, 5, 6], [0.5] * 6])
def test_iterations_ascend(steps):
    with pytest.raises(UserError, match="ascending"):
        f.learning_curve_by_iteration(POINTS, LAST, steps)

"""Scores of costs, curves of accuracy against bytes, and the Pareto front."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics import functional as f

X = [10.0, 12.0, 14.0]


def test_scores_of_one_or_several_criteria():
    assert f.model_size_efficiency([100, 50]) == 1.0
    assert f.sample_storage_efficiency([2000], 1000) == 0.0
    assert f.computational_efficiency([10, 10], [40, 80], epsilon=2) == pytest.approx(0.375)
    assert f.computational_efficiency([10], [5]) == 1.0
    assert f.cl_stability([0.1, 0.2], [0.5, 0.5]) == pytest.approx(0.85)
    assert f.sequoia_score(0.5, 0.8, 6 * 3600) == pytest.approx(0.15 + 0.32 + 0.15)
    assert f.sequoia_score(0.5, 0.8, 13 * 3600) == pytest.approx(0.15 + 0.32)
    assert f.time_normalized_accuracy(0.8, 40, 20) == pytest.approx(0.4)
    assert f.memory_normalized_accuracy(0.8, 10, 20) == pytest.approx(1.6)


def test_costs_that_are_missing_leave_scores_undefined():
    undefined = [
        f.model_size_efficiency([100, None]),
        f.model_size_efficiency([0, 10]),
        f.model_size_efficiency([]),
        f.sample_storage_efficiency([10], 0),
        f.computational_efficiency([10], [0]),
        f.cl_score([0.5, None], [0.5, 0.5]),
        f.sequoia_score(0.5, None, 1),
        f.relative_time(10, 0),
        f.time_normalized_accuracy(0.8, 0, 20),
        f.memory_normalized_accuracy(0.8, 10, None),
    ]
    assert all(map(math.isnan, undefined))


def test_distances_of_curves_are_those_of_numerical_integration():
    z, a, b = [11.0, 12.5, 15.0], [0.4, 0.5, 0.58], [0.45, 0.56, 0.6]
    found = f.compare_budget_curves(X, a, b, candidate_log2_bytes=z)
    gain, _ = quad(lambda x: np.interp(x, z, b) - np.interp(x, X, a), 11, 14, limit=200)
    assert found.mean_accuracy_gain == pytest.approx(gain / 3, abs=1e-7)
    low, high = found.accuracy_overlap
    assert (low, high) == (0.45, 0.58)
    change, _ = quad(lambda y: np.interp(y, b, z) - np.interp(y, a, X), low, high, limit=200)
    assert found.mean_log2_byte_change == pytest.approx(change / (high - low), abs=1e-6)


def test_curves_against_themselves_and_with_half_the_bytes():
    curve = [0.4, 0.5, 0.6]
    itself = f.compare_budget_curves(X, curve, curve)
    assert itself.mean_accuracy_gain == itself.mean_log2_byte_change == 0.0
    half = f.compare_budget_curves(X, curve, curve, candidate_log2_bytes=[9.0, 11.0, 13.0])
    assert half.byte_ratio == pytest.approx(0.5)


def test_horizontal_distances_need_increasing_curves_that_overlap():
    falling = f.compare_budget_curves(X, [0.4, 0.5, 0.6], [0.5, 0.45, 0.6])
    assert math.isnan(falling.byte_ratio) and falling.mean_accuracy_gain == pytest.approx(0.0)
    apart = f.compare_budget_curves(X, [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    assert math.isnan(apart.mean_log2_byte_change) and math.isnan(apart.accuracy_overlap[0])
    assert apart.mean_accuracy_gain == pytest.approx(0.3)
    far = f.compare_budget_curves(
        X, [0.1, 0.2, 0.3], [0.1, 0.2, 0.3], candidate_log2_bytes=[20, 21, 22]
    )
    assert math.isnan(far.mean_accuracy_gain) and far.byte_ratio == pytest.approx(2**9)


def test_a_target_that_is_not_reached_has_no_bytes():
    assert f.log2_bytes_at_target(X, [0.4, 0.5, 0.6], 0.45) == pytest.approx(11)
    assert math.isnan(f.log2_bytes_at_target(X, [0.4, 0.5, 0.6], 0.7))
    assert math.isnan(f.log2_bytes_at_target(X, [0.4, 0.5, 0.5], 0.45))


def test_the_pareto_front():
    values = [[0.9, 10], [0.8, 5], [0.8, 7], [0.895, 4], [np.nan, 1]]
    assert f.pareto_front(values, [True, False]).tolist() == [True, False, False, True, False]
    within = f.pareto_front(values, [True, False], margins=[0.2, 2])
    assert within.tolist() == [True, True, False, True, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: f.cl_score([0.5, 2.0], [0.5, 0.5]), r"in \[0, 1\]"),
        (lambda: f.cl_score([0.5], [0.5]), "sum to 1"),
        (lambda: f.computational_efficiency([1], [1, 2]), "for each experience"),
        (lambda: f.relative_time("long", 2), "list of numbers"),
        (lambda: f.model_size_efficiency([-1]), "not negative"),
        (lambda: f.compare_budget_curves([10], [0.1], [0.2]), "two or more budgets"),
        (lambda: f.compare_budget_curves([12, 10], [0.1, 0.2], [0.1, 0.2]), "ascend strictly"),
        (lambda: f.compare_budget_curves(X, [0.1, None, 0.2], X), "two or more budgets"),
        (lambda: f.pareto_front([1, 2], [True]), "variants, criteria"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(UserError, match=message):
        call()

"""Metrics of accuracies within training, against loops over their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics import functional as f

ENDS = [9, 19, 29]
POINTS = np.random.default_rng(1).random((30, 3))
SEEN = np.where(np.arange(3) <= np.arange(30)[:, None] // 10, POINTS, np.nan)


def brute_force(series, window, sign):
    pairs = [(m, n) for n in range(len(series)) for m in range(n) if n - m < window]
    return max([0.0] + [sign * (series[m] - series[n]) for m, n in pairs])


@pytest.mark.parametrize("window", [1, 2, 5, 30, 100])
def test_windows_are_those_of_a_loop_over_all_pairs(window):
    for function, sign in (
        (f.windowed_forgetting_per_experience, 1),
        (f.windowed_plasticity_per_experience, -1),
    ):
        expected = [brute_force(POINTS[10 * i :, i], window, sign) for i in range(3)]
        np.testing.assert_allclose(function(SEEN, window), expected)
        np.testing.assert_allclose(function(POINTS, window, ENDS), expected)


def test_windows_of_one_series():
    series = [0.5, 0.9, 0.6, 0.2]
    assert f.windowed_forgetting(series, 2) == pytest.approx(0.4)
    assert f.windowed_forgetting(series, 3) == pytest.approx(0.7)
    assert f.windowed_plasticity(series, 3) == pytest.approx(0.4)
    assert f.windowed_forgetting([0.5], 10) == f.windowed_forgetting(series, 1) == 0.0


def test_windows_grow_with_their_length_and_with_time():
    windows = [f.windowed_forgetting_per_experience(SEEN, w) for w in range(1, 31)]
    assert (np.diff(windows, axis=0) >= 0).all()
    times = [f.windowed_plasticity_per_experience(SEEN[:n], 4)[0] for n in range(1, 31)]
    assert (np.diff(times) >= 0).all()


def test_windows_in_iterations_are_windows_in_points_where_points_are_even():
    even = f.windowed_forgetting(SEEN, 4, iterations=range(30))
    assert even == f.windowed_forgetting(SEEN, 4)
    series = [0.9, 0.5, 0.1]
    assert f.windowed_forgetting(series, 11, iterations=[0, 10, 20]) == pytest.approx(0.4)
    assert f.windowed_forgetting(series, 10, iterations=[0, 10, 20]) == 0.0


def test_a_test_experience_that_is_not_measured_any_more_is_undefined():
    gap = SEEN.copy()
    gap[25, 0] = np.nan
    assert np.isnan(f.windowed_forgetting_per_experience(gap, 3)).tolist() == [True, False, False]
    assert math.isnan(f.windowed_forgetting(gap, 3)) and math.isnan(f.min_acc(gap, ENDS))
    assert math.isnan(f.average_anytime_accuracy(gap, ENDS))
    assert f.stability_gaps(gap, ENDS)[1].recovery is None
    assert math.isnan(f.stability_gap_mean_transient(gap, ENDS))


def test_unseen_test_experiences_are_left_out():
    assert f.windowed_forgetting(SEEN[:10], 5) == brute_force(SEEN[:10, 0], 5, 1)
    assert math.isnan(f.windowed_forgetting(np.full((3, 2), np.nan), 5))


def test_minima_leave_the_end_of_the_own_training_out():
    assert f.min_per_old_experience(SEEN, ENDS).tolist() == [
        POINTS[10:, 0].min(),
        POINTS[20:, 1].min(),
    ]
    assert f.min_acc(SEEN, ENDS) <= SEEN[-1, :2].mean()
    k = 3
    expected = POINTS[-1, 2] / k + (1 - 1 / k) * f.min_acc(SEEN, ENDS)
    assert f.wc_acc(SEEN, ENDS) == pytest.approx(expected)


def test_while_the_first_experience_is_trained_there_is_nothing_old():
    assert math.isnan(f.min_acc(SEEN, ENDS, at=5))
    assert f.wc_acc(SEEN, ENDS, at=5) == SEEN[5, 0]
    assert f.stability_gaps(SEEN, ENDS, at=5) == []
    assert math.isnan(f.stability_gap_worst_transient(SEEN[:10], ENDS))


def test_an_experience_that_is_still_trained_needs_no_end():
    assert f.min_acc(SEEN[:25], ENDS[:2]) == f.min_acc(SEEN, ENDS, at=24)
    assert f.wc_acc(SEEN[:25], ENDS[:2]) == f.wc_acc(SEEN, ENDS, at=24)


def test_anytime_accuracy_of_a_tensor_is_that_of_the_trace():
    tensor = POINTS.reshape(3, 10, 3)
    assert f.anytime_accuracy(tensor) == pytest.approx(f.average_anytime_accuracy(POINTS, ENDS))
    assert f.anytime_accuracy(tensor, variant="all") == pytest.approx(POINTS.mean())


def test_a_stability_gap_has_a_transient_and_a_permanent_part():
    points = [[0.9, None], [0.9, None], [0.3, 0.5], [0.5, 0.6], [0.8, 0.7]]
    (gap,) = f.stability_gaps(points, [1, 4])
    assert (gap.before, gap.minimum, gap.end, gap.recovery) == (0.9, 0.3, 0.8, 3)
    assert gap.drop == pytest.approx(gap.transient + gap.permanent)
    assert f.stability_gap_worst_transient(points, [1, 4]) == pytest.approx(0.5)


def test_no_gap_where_accuracy_rises():
    (gap,) = f.stability_gaps([[0.5, None], [0.6, 0.5], [0.7, 0.6]], [0, 2])
    assert gap.transient == 0.0 and gap.recovery == 0
    assert gap.permanent == pytest.approx(-0.2) and gap.drop == pytest.approx(-0.1)


def test_learning_curves_need_all_their_batches():
    curves = [[0.1, 0.3, 0.5, 0.9], [0.2, 0.6]]
    assert f.learning_curve_area(curves, 1) == pytest.approx(np.mean([0.15, 0.45]))
    assert math.isnan(f.learning_curve_area(curves, 2))
    assert f.learning_curve_area([[None, 0.4]], 1, include_zero_shot=False) == 0.4
    assert math.isnan(f.learning_curve_area([[None, 0.4]], 1))


def test_forward_transfer_of_learning_curves_is_undefined_beside_a_perfect_run():
    assert math.isnan(f.learning_curve_forward_transfer([0.5, 0.5], [1.0, 1.0]))
    assert f.learning_curve_forward_transfer([0.5, 0.5], [0.5, 0.5]) == 0.0


def test_the_blind_delay_is_where_labels_stop_telling():
    assert f.smallest_blind_delay([0, 0, 0, 1, 1, 1, 2, 2, 2]) == 2
    assert f.smallest_blind_delay([0, 1] * 10) == 0
    assert f.smallest_blind_delay([0] * 10, chance=0.5) is None
    assert f.smallest_blind_delay([0, 0, 0, 1, 1, 1, 2, 2, 2], max_delay=1) is None


def test_streams_too_short_to_predict_anything():
    assert math.isnan(f.online_accuracy([], [])) and math.isnan(f.blind_accuracy([1], 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: f.min_acc(POINTS, [9, 5]), "ascending"),
        (lambda: f.min_acc(POINTS, ENDS, at=30), "one of the 30 points"),
        (lambda: f.min_acc(POINTS, [1, 2, 3]), "3 test experiences"),
        (lambda: f.windowed_forgetting(POINTS, 0), "1 point or more"),
        (lambda: f.windowed_forgetting(POINTS, 2, iterations=[1, 2]), "30 ascending"),
        (lambda: f.windowed_forgetting([2.0, "x"], 2), "table of numbers"),
        (lambda: f.learning_curve_area([], 2), "a curve for each experience"),
        (lambda: f.learning_curve_area([[0.1]], 0, include_zero_shot=False), "zero-shot"),
        (lambda: f.learning_curve_forward_transfer([0.1], [0.1, 0.2]), "equally many points"),
        (lambda: f.learning_curve_forward_transfer([50.0], [40.0]), "percentages"),
        (lambda: f.anytime_accuracy(POINTS), "shape"),
        (lambda: f.anytime_accuracy(POINTS[None], variant="some"), "'seen'"),
        (lambda: f.near_future_accuracy([0, 1], [0, 1]), "1 entries"),
        (lambda: f.near_future_accuracy([0, 1], [0], delay=-1), "0 or more"),
        (lambda: f.online_accuracy([0.5], [0]), "class indices"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(UserError, match=message):
        call()

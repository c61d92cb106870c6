"""Accuracy-matrix metrics against hand-computed values and golden vectors."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional import (
    accuracy_spread,
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    learning_accuracy,
    order_disparity,
)

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "halrp" / "metrics.npz"
# After three tasks: task 0 fell from 0.9 (after task 1) to 0.3, task 1 rose from 0.6 to 0.7.
SEQUENTIAL = [[0.8, None, None], [0.9, 0.6, None], [0.3, 0.7, 0.5]]
JOINT = [[None, None, None], [None, None, None], [0.9, 0.8, 0.7]]


def test_average_accuracy_is_the_mean_of_the_last_row() -> None:
    assert average_accuracy(SEQUENTIAL) == pytest.approx(0.5)
    assert average_accuracy(JOINT) == pytest.approx(0.8)


def test_backward_transfer_compares_the_last_row_with_the_diagonal() -> None:
    assert backward_transfer(SEQUENTIAL) == pytest.approx(((0.3 - 0.8) + (0.7 - 0.6)) / 2)


def test_forgetting_compares_with_the_best_earlier_row_not_the_diagonal() -> None:
    assert forgetting(SEQUENTIAL) == pytest.approx(((0.9 - 0.3) + (0.6 - 0.7)) / 2)


def test_relative_forgetting_is_a_share_of_the_best_accuracy() -> None:
    expected = ((0.9 - 0.3) / 0.9 + (0.6 - 0.7) / 0.6) / 2
    assert forgetting(SEQUENTIAL, relative=True) == pytest.approx(expected)
    percent = [[None if a is None else 100 * a for a in row] for row in SEQUENTIAL]
    assert forgetting(percent, relative=True) == pytest.approx(expected)


def test_relative_forgetting_of_something_never_learned_is_zero() -> None:
    assert forgetting([[0.0, None], [0.0, 1.0]], relative=True) == 0.0
    assert forgetting([[0.0, None], [0.2, 1.0]], relative=True) == 0.0


def test_forgetting_counts_accuracy_measured_before_the_task_was_trained() -> None:
    full = [[0.5, 0.9, 0.0], [0.5, 0.4, 0.0], [0.5, 0.3, 1.0]]
    assert forgetting(full) == pytest.approx((0.0 + 0.6) / 2)


def test_average_incremental_accuracy_averages_the_rows_over_seen_tasks() -> None:
    assert average_incremental_accuracy(SEQUENTIAL) == pytest.approx((0.8 + 0.75 + 0.5) / 3)


def test_average_incremental_accuracy_weights_by_size() -> None:
    rows = [0.8, (3 * 0.9 + 0.6) / 4, (3 * 0.3 + 0.7 + 2 * 0.5) / 6]
    assert average_incremental_accuracy(SEQUENTIAL, sizes=[3, 1, 2]) == pytest.approx(sum(rows) / 3)


def test_accuracy_spread_is_the_standard_deviation_of_the_last_row() -> None:
    assert accuracy_spread(SEQUENTIAL) == pytest.approx(math.sqrt(0.08 / 3))
    assert accuracy_spread([[0.4]]) == 0.0
    assert math.isnan(accuracy_spread([[0.4, None], [None, 0.5]]))


def test_learning_accuracy_is_the_mean_of_the_diagonal() -> None:
    assert learning_accuracy(SEQUENTIAL) == pytest.approx((0.8 + 0.6 + 0.5) / 3)


@pytest.mark.parametrize("metric", [backward_transfer, forgetting, learning_accuracy])
def test_joint_training_has_no_history_to_measure(metric) -> None:
    assert math.isnan(metric(JOINT))
    assert math.isnan(average_incremental_accuracy(JOINT))


@pytest.mark.parametrize("metric", [backward_transfer, forgetting])
def test_one_task_cannot_be_forgotten(metric) -> None:
    assert math.isnan(metric([[0.5]]))
    assert average_accuracy([[0.5]]) == learning_accuracy([[0.5]]) == 0.5


def test_tasks_not_trained_yet_do_not_count() -> None:
    partial = [[0.8, 0.1, 0.2], [0.6, 0.9, 0.2]]
    assert average_accuracy(partial) == pytest.approx(0.75)
    assert backward_transfer(partial) == pytest.approx(-0.2)
    assert forgetting(partial) == pytest.approx(0.2)
    assert learning_accuracy(partial) == pytest.approx(0.85)


def test_one_shared_test_set_has_averages_but_no_transfer() -> None:
    shared = [[0.5], [0.7], [0.9]]
    assert average_accuracy(shared) == 0.9
    assert average_incremental_accuracy(shared) == pytest.approx(0.7)
    assert math.isnan(forgetting(shared)) and math.isnan(backward_transfer(shared))


def test_a_missing_row_makes_forgetting_undefined_but_not_backward_transfer() -> None:
    gap = [[0.8, None, None], [None, 0.6, None], [0.3, 0.7, 0.5]]
    assert math.isnan(forgetting(gap))
    assert backward_transfer(gap) == pytest.approx(-0.2)


def test_lists_arrays_and_tensors_give_the_same_numbers() -> None:
    array = np.array(SEQUENTIAL, dtype=float)
    for metric in (average_accuracy, backward_transfer, forgetting, learning_accuracy):
        assert metric(array) == metric(torch.tensor(array)) == metric(SEQUENTIAL)


def test_the_input_is_not_changed() -> None:
    array = np.array(SEQUENTIAL, dtype=float)
    before = array.copy()
    forgetting(array, relative=True)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([0.1, 0.2], "two dimensions"),
        ([[]], "two dimensions"),
        ([[0.1], [0.2, 0.3]], "rows of equal length"),
        ([["high"]], "table of numbers"),
        ([[float("inf")]], "finite"),
        ([[-0.1]], "not negative"),
    ],
)
def test_malformed_matrices_are_user_errors(bad, message) -> None:
    with pytest.raises(UserError, match=message):
        average_accuracy(bad)


@pytest.mark.parametrize("sizes", [[1, 2], [1, 2, 0], [1, 2, float("nan")]])
def test_bad_sizes_are_user_errors(sizes) -> None:
    with pytest.raises(UserError, match="3 positive numbers"):
        average_incremental_accuracy(SEQUENTIAL, sizes=sizes)


def test_golden_order_disparity() -> None:
    golden = np.load(GOLDEN)
    per_task, maximum, average = order_disparity(golden["P_orders_by_task"])
    np.testing.assert_allclose(per_task, golden["OPD"], rtol=1e-12)
    assert maximum == pytest.approx(float(golden["MOPD"]), rel=1e-12)
    assert average == pytest.approx(float(golden["AOPD"]), rel=1e-12)


def test_golden_accuracy_and_transfer() -> None:
    golden = np.load(GOLDEN)
    matrix = golden["acc_matrix"]
    assert average_accuracy(matrix) == pytest.approx(float(golden["Acc"]), rel=1e-12)
    assert backward_transfer(matrix) == pytest.approx(float(golden["BWT_GEM"]), rel=1e-12)
    # The released code averages over all T tasks, the last of which cannot be forgotten.
    tasks = len(matrix)
    over_all = -backward_transfer(matrix) * (tasks - 1) / tasks
    assert over_all == pytest.approx(float(golden["forgetting_mean_code_over_T"]), rel=1e-12)


def test_order_disparity_needs_two_orders() -> None:
    per_task, maximum, average = order_disparity([[0.5, 0.6]])
    assert np.isnan(per_task).all() and math.isnan(maximum) and math.isnan(average)

"""Metrics of predictions, against scikit-learn, loops and identities."""

from __future__ import annotations

import math
from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
from sklearn import metrics

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics import functional as f

N, CLASSES, TASKS = 400, 6, 3
TASK_OF_CLASS = np.array([0, 0, 1, 1, 2, 2])
GENERATOR = np.random.default_rng(7)
LABELS = GENERATOR.integers(0, CLASSES, N)
LOGITS = GENERATOR.normal(size=(N, CLASSES)) + 1.5 * np.eye(CLASSES)[LABELS] + TASK_OF_CLASS / 2
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
PREDICTED = LOGITS.argmax(axis=1)
CONFIDENCE, RIGHT = PROBABILITIES.max(axis=1), PREDICTED == LABELS
OWN = TASK_OF_CLASS[LABELS][:, None] == TASK_OF_CLASS
TOLD = np.where(OWN, LOGITS, -np.inf).argmax(axis=1)


def test_errors_within_and_between_tasks_sum_to_the_errors():
    found = f.task_confusion_errors(LABELS, PREDICTED, TASK_OF_CLASS, task_aware=TOLD)
    total = found.accuracy + found.within_task_error + found.inter_task_error
    assert total == pytest.approx(1)
    assert found.accuracy == pytest.approx(found.task_prediction * found.within_task_prediction)
    parts = found.pure_task_confusion + found.both_errors
    assert parts == pytest.approx(found.inter_task_error)
    assert found.task_aware_accuracy == (TOLD == LABELS).mean() > found.accuracy
    cost = found.task_aware_accuracy - found.accuracy
    assert found.task_confusion_cost == pytest.approx(cost) and found.task_aware_violations == 0
    again = f.task_confusion_errors(LABELS, PREDICTED, TASK_OF_CLASS, task_aware=TOLD == LABELS)
    assert again == found
    bits = (TOLD == LABELS).tolist()
    assert f.task_confusion_errors(LABELS, PREDICTED, TASK_OF_CLASS, task_aware=bits) == found


def test_the_confusion_of_tasks_is_the_confusion_matrix_summed_over_their_classes():
    table = f.task_confusion_matrix(LABELS, PREDICTED, TASK_OF_CLASS)
    by_task = TASK_OF_CLASS[LABELS], TASK_OF_CLASS[PREDICTED]
    np.testing.assert_array_equal(table, metrics.confusion_matrix(*by_task))
    found = f.task_confusion_errors(LABELS, PREDICTED, TASK_OF_CLASS)
    assert np.trace(table) / N == pytest.approx(found.task_prediction)
    assert math.isnan(found.task_aware_accuracy)


def test_right_answers_that_are_wrong_when_told_the_task_are_counted():
    found = f.task_confusion_errors([0, 1], [0, 1], [0, 0], task_aware=[1, 1])
    assert found.task_aware_violations == 1


def test_without_samples_shares_are_undefined():
    assert all(map(math.isnan, astuple(f.task_confusion_errors([], [], []))[:-1]))
    assert all(map(math.isnan, astuple(f.recency_shares([], [], []))))
    assert math.isnan(f.task_confusion_errors([0], [1], [0, 1]).within_task_prediction)


def test_recency_in_shares():
    labels, predicted = [0, 0, 1, 1, 2, 2], [0, 2, 2, 0, 2, 1]
    found = f.recency_shares(labels, predicted, [0, 1, 2])
    assert found.share_predicted_last_task == 3 / 6
    assert found.recency_bias == pytest.approx(3 / 6 - 2 / 6)
    assert found.old_samples_to_last_task == 2 / 4
    assert found.share_of_inter_task_errors_to_last == 2 / 4
    assert f.recency_shares(labels, predicted, [0, 1, 2], last=0).recency_bias == 0.0
    one = f.recency_shares([0, 1], [1, 1], [0, 0])
    assert one.recency_bias == 0.0 and math.isnan(one.old_samples_to_last_task)


def test_recency_in_logits_and_weights():
    logits = [[1.0, 2.0, 5.0, 7.0], [0.0, 0.0, 0.0, 9.0]]
    assert f.recency_logit_gap(logits, [0, 3], [0, 0, 1, 1]) == pytest.approx(6 - 1.5)
    assert math.isnan(f.recency_logit_gap(logits, [3, 3], [0, 0, 1, 1]))
    expected = np.mean(
        [
            row[4:].mean() - row[own].mean()
            for row, own, y in zip(LOGITS, OWN, LABELS, strict=True)
            if y < 4
        ]
    )
    assert f.recency_logit_gap(LOGITS, LABELS, TASK_OF_CLASS) == pytest.approx(expected)
    assert f.recency_weight_ratio([1, 3, 4, 9], [0, 0, 1, -1]) == 2.0
    assert math.isnan(f.recency_weight_ratio([1, 3], [0, 0]))


def test_accuracies_of_classes_are_those_of_scikit_learn():
    found = f.class_accuracy(LABELS, PREDICTED, CLASSES + 1)
    expected = metrics.recall_score(LABELS, PREDICTED, average=None)
    np.testing.assert_allclose(found[:CLASSES], expected)
    assert math.isnan(found[CLASSES])
    balanced = metrics.balanced_accuracy_score(LABELS, PREDICTED)
    assert f.mean_class_accuracy(LABELS, PREDICTED) == pytest.approx(balanced)
    table = metrics.confusion_matrix(LABELS, PREDICTED)
    np.testing.assert_array_equal(f.confusion_matrix(LABELS, PREDICTED), table)
    assert math.isnan(f.mean_class_accuracy([], []))


def test_proper_scores_are_those_of_scikit_learn():
    likelihood = metrics.log_loss(LABELS, PROBABILITIES)
    assert f.negative_log_likelihood(PROBABILITIES, LABELS) == pytest.approx(likelihood)
    brier = np.mean(((PROBABILITIES - np.eye(CLASSES)[LABELS]) ** 2).sum(axis=1))
    assert f.brier_score(PROBABILITIES, LABELS) == pytest.approx(brier)
    top = metrics.brier_score_loss(RIGHT, CONFIDENCE)
    assert f.brier_top_label(CONFIDENCE, RIGHT) == pytest.approx(top)
    assert f.negative_log_likelihood([[1.0, 0.0]], [1]) == math.inf


def test_calibration_error_is_that_of_a_loop_over_bins():
    for bins in (1, 7, 15):
        edges = np.linspace(0, 1, bins + 1)
        total = 0.0
        for low, high in pairwise(edges):
            members = (low < CONFIDENCE) & (high >= CONFIDENCE)
            if members.any():
                gap = RIGHT[members].mean() - CONFIDENCE[members].mean()
                total += members.mean() * abs(gap)
        found = f.expected_calibration_error(CONFIDENCE, RIGHT, bins)
        assert found == pytest.approx(total)
        counts, accuracy, confidence = f.reliability(CONFIDENCE, RIGHT, bins)
        assert np.nansum(counts * np.abs(accuracy - confidence)) / N == pytest.approx(found)
    whole = f.expected_calibration_error(CONFIDENCE, RIGHT, 1)
    assert whole == pytest.approx(abs(f.overconfidence(CONFIDENCE, RIGHT)))


def test_adaptive_bins_hold_equal_numbers():
    order = np.argsort(CONFIDENCE)
    groups = order.reshape(8, -1)
    expected = np.mean([abs(RIGHT[g].mean() - CONFIDENCE[g].mean()) for g in groups])
    found = f.expected_calibration_error(CONFIDENCE, RIGHT, 8, adaptive=True)
    assert found == pytest.approx(expected)
    few = f.expected_calibration_error([0.5, 0.9], [True, False], 15, adaptive=True)
    assert few == pytest.approx((0.5 + 0.9) / 2)


def test_confidences_of_0_and_1_have_bins():
    assert f.expected_calibration_error([0.0, 1.0], [False, True]) == 0.0
    assert f.expected_calibration_error([0.0, 1.0], [True, False]) == 1.0
    assert f.reliability([0.0, 1.0], [0, 1], 4)[0].tolist() == [1, 0, 0, 1]


def test_the_floor_falls_with_the_number_of_samples():
    confidence = np.linspace(0.3, 1, 1000)
    few, many = f.calibration_floor(confidence[::10]), f.calibration_floor(confidence)
    assert few == pytest.approx(0.111, abs=0.01) and many == pytest.approx(0.036, abs=0.004)
    assert f.calibration_floor(confidence, seed=0) == many
    assert math.isnan(f.calibration_floor([], draws=1))


def test_calibration_of_nothing_is_undefined():
    for metric in (f.expected_calibration_error, f.overconfidence, f.brier_top_label):
        assert math.isnan(metric([], []))
    assert math.isnan(f.brier_score(np.empty((0, 2)), []))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: f.task_confusion_errors([0, 1], [0], [0, 0]), "2 entries"),
        (lambda: f.task_confusion_errors([0], [2], [0, 0]), "class 2"),
        (lambda: f.task_confusion_matrix([0], [1], [0, -1]), "not -1"),
        (lambda: f.recency_shares([[0]], [0], [0]), "labels must be a list of class indices"),
        (lambda: f.recency_logit_gap([[0.1]], [0], [0, 1]), "column for each of 2 classes"),
        (lambda: f.recency_weight_ratio([1.0], [0, 1]), "1 entries"),
        (lambda: f.class_accuracy([3], [0], 2), "there are 2 classes"),
        (lambda: f.expected_calibration_error([1.5], [1]), r"\[0, 1\]"),
        (lambda: f.expected_calibration_error([0.5], [2]), "booleans"),
        (lambda: f.expected_calibration_error([0.5], [1], 0), "1 or more"),
        (lambda: f.overconfidence([0.5, None], [1, 0]), "one for each sample"),
        (lambda: f.calibration_floor([0.5], draws=0), "1 draw"),
        (lambda: f.brier_score([[0.5, 0.6]], [0]), "sum to 1"),
        (lambda: f.negative_log_likelihood([[1.0]], [1]), "column for each"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(UserError, match=message):
        call()

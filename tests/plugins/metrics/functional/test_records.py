"""From predictions to metrics: counts, gaps, and what may not change the result."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics import functional as f
from cl_strategies.plugins.metrics.functional.matrix.forward import ZERO_SHOT_GAPS

T, PER = 3, 50
GENERATOR = np.random.default_rng(11)
TASK_OF_CLASS = np.array([0, 0, 1, 1, 2, 2])
LABELS = GENERATOR.integers(0, 2, T * PER) + 2 * np.repeat(np.arange(T), PER)
EXPERIENCE = np.repeat(np.arange(T), PER)
ROWS = np.array(
    [
        np.where(GENERATOR.random(T * PER) < 0.6, LABELS, GENERATOR.integers(0, 2 * t + 2, T * PER))
        for t in range(T)
    ]
)
CONFIDENCE = GENERATOR.random(T * PER)
TOLD = GENERATOR.random(T * PER) < 0.9


def compute(order=slice(None), rename=None):
    names = np.arange(6) if rename is None else rename
    tasks = np.empty(6, dtype=int)
    tasks[names] = TASK_OF_CLASS
    return f.records_to_metrics(
        names[LABELS][order],
        EXPERIENCE[order],
        names[ROWS][:, order],
        tasks,
        task_aware=TOLD[order],
        confidence=CONFIDENCE[order],
    )


def same(first, second):
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_allclose(
            np.asarray(first[key], float), np.asarray(second[key], float), atol=1e-12, err_msg=key
        )


def test_counts_are_those_of_a_loop():
    correct, totals = f.counts_from_predictions(LABELS, EXPERIENCE, ROWS)
    for t in range(T):
        for i in range(T):
            mine = i == EXPERIENCE
            assert correct[t, i] == (ROWS[t] == LABELS)[mine].sum() and totals[t, i] == PER
    found = compute()
    np.testing.assert_array_equal(found["A"], f.accuracy_from_counts(correct, [PER] * T))
    assert found["acc_weighted"] == pytest.approx(found["final_accuracy_pooled"])
    errors = found["final_within_task_error"] + found["final_inter_task_error"]
    assert found["final_accuracy_pooled"] + errors == pytest.approx(1)
    assert found["recency_bias"] == found["recency_bias_after_row"][-1]


def test_the_order_of_samples_changes_nothing():
    same(compute(), compute(np.random.default_rng(0).permutation(T * PER)))


def test_the_names_of_classes_change_nothing():
    same(compute(), compute(rename=np.array([4, 1, 0, 5, 3, 2])))


def test_percentages_scale_differences_and_leave_shares():
    matrix, percent = compute()["A"], 100 * compute()["A"]
    for metric in (f.average_accuracy, f.backward_transfer, f.forgetting, f.stability_final_old):
        assert metric(percent) == pytest.approx(100 * metric(matrix))
    assert f.retention_ratio(percent) == pytest.approx(f.retention_ratio(matrix))
    assert f.forgetting(percent, relative=True) == pytest.approx(
        f.forgetting(matrix, relative=True)
    )


def test_the_largest_of_all_rows_forgets_at_least_as_much():
    for seed in range(20):
        matrix = np.random.default_rng(seed).random((4, 4))
        largest = f.forgetting(matrix, variant="max_all_rows")
        assert largest >= max(0.0, f.forgetting(matrix))


def test_samples_that_were_not_evaluated_leave_a_gap():
    rows = ROWS.astype(float)
    rows[np.arange(T)[:, None] < EXPERIENCE] = np.nan
    found = f.records_to_metrics(LABELS, EXPERIENCE, rows, TASK_OF_CLASS)
    np.testing.assert_array_equal(np.isnan(found["A"]), ~np.tri(T, dtype=bool))
    assert found["bwt"] == compute()["bwt"] and math.isnan(found["fwt_upper_raw"])
    rows[-1] = -1
    found = f.records_to_metrics(LABELS, EXPERIENCE, rows, TASK_OF_CLASS, confidence=CONFIDENCE)
    for key in ("acc", "final_accuracy_pooled", "final_inter_task_error", "recency_bias", "ece"):
        assert math.isnan(found[key]), key


def test_forward_transfer_is_undefined_where_unseen_classes_cannot_be_predicted():
    found = f.records_to_metrics(LABELS, EXPERIENCE, ROWS, TASK_OF_CLASS, initial=[0.1] * T)
    assert math.isnan(found["fwt_next"]) and math.isnan(found["fwt_upper_raw"])
    shared = f.records_to_metrics(LABELS, EXPERIENCE, ROWS, initial=[0.1] * T, setting="domain")
    assert math.isfinite(shared["fwt_next"])
    joint = f.matrix_metrics(found["A"], isolated=[0.5] * T, setting=list(ZERO_SHOT_GAPS)[-1])
    assert math.isnan(joint["fwt_isolated_all"]) and math.isfinite(joint["acc"])


def test_one_shared_test_set_has_averages():
    found = f.records_to_metrics([0, 1], [0, 0], [[0, 0], [0, 1], [1, 1]])
    assert found["acc"] == found["acc_weighted"] == 0.5 and math.isnan(found["bwt"])
    assert found["aia"] == pytest.approx(2 / 3) and math.isnan(found["intransigence_mean"])


def test_experiences_not_trained_yet_do_not_count():
    found = f.records_to_metrics(LABELS, EXPERIENCE, ROWS[:2], TASK_OF_CLASS)
    seen = EXPERIENCE < 2
    part = f.records_to_metrics(LABELS[seen], EXPERIENCE[seen], ROWS[:2, seen], TASK_OF_CLASS)
    for key in ("acc", "acc_weighted", "final_accuracy_pooled", "recency_bias"):
        assert found[key] == part[key]


def test_a_test_experience_without_samples_is_undefined():
    some = EXPERIENCE != 1
    found = f.records_to_metrics(LABELS[some], EXPERIENCE[some], ROWS[:, some], TASK_OF_CLASS)
    assert found["totals"].tolist() == [PER, 0, PER]
    assert np.isnan(found["A"][:, 1]).all() and math.isnan(found["acc_weighted"])


def test_old_and_new_confidences_stand_apart():
    found = compute()
    right = (ROWS[-1] == LABELS).astype(float)
    old = EXPERIENCE < T - 1
    assert found["overconfidence_old"] == pytest.approx((CONFIDENCE - right)[old].mean())
    assert found["overconfidence_new"] == pytest.approx((CONFIDENCE - right)[~old].mean())
    assert found["ece"] == f.expected_calibration_error(CONFIDENCE, right)


def test_streams_without_tasks_of_classes_have_no_confusion():
    found = f.records_to_metrics(LABELS, EXPERIENCE, ROWS, confidence=CONFIDENCE)
    assert math.isnan(found["final_inter_task_error"]) and math.isnan(found["recency_bias"])
    assert found["ece"] == compute()["ece"] and found["aia"] == compute()["aia"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: f.records_to_metrics(LABELS, EXPERIENCE, ROWS[0]), "a row after each"),
        (lambda: f.records_to_metrics(LABELS, EXPERIENCE, [["a"]]), "a row after each"),
        (lambda: f.records_to_metrics(LABELS, EXPERIENCE[1:], ROWS), "150 entries"),
        (lambda: f.records_to_metrics([0, 1], [0, 0], [[0, -1]]), "all or none"),
        (lambda: f.records_to_metrics([0], [0], [[0]], confidence=[0.1, 0.2]), "1 entries"),
        (lambda: f.accuracy_from_counts([[3]], [[2]]), "between 0 and the number"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(UserError, match=message):
        call()

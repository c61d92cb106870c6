"""Every worked example of the metrics."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from cl_strategies.plugins.metrics import functional as f


def test_a_full_matrix(examples, agree):
    given, expected = examples["matrix_full"].values()
    found = f.matrix_metrics(
        given["A"],
        sizes=given["sizes"],
        initial=given["b"],
        isolated=given["single"],
        joint=given["joint_diag"],
        offline=given["ideal"],
    )
    agree(found, expected)


@pytest.mark.parametrize("name", ["matrix_forgetting_variants_differ", "matrix_single_task"])
def test_matrices_alone(name, examples, agree):
    given, expected = examples[name].values()
    agree(f.matrix_metrics(given["A"]), expected)


def test_from_predictions_to_metrics(examples, agree):
    given, expected = examples["records_to_metrics"].values()
    agree(f.records_to_metrics(**given), expected)


def test_a_trace(examples, agree):
    given, expected = examples["trace"].values()
    points, ends = given["points"], given["last_point_of_task"]
    found = {
        "min_per_old_task": f.min_per_old_experience(points, ends),
        "min_acc": f.min_acc(points, ends),
        "wc_acc": f.wc_acc(points, ends),
        "wc_acc_after_task_1": f.wc_acc(points, ends, at=ends[1]),
        "wf_3_per_task": f.windowed_forgetting_per_experience(points, 3),
        "wp_3_per_task": f.windowed_plasticity_per_experience(points, 3),
        "anytime_seen": f.anytime_seen(points, ends),
        "average_anytime_accuracy": f.average_anytime_accuracy(points, ends),
        "acc_at_task_ends": f.anytime_seen(points, ends)[-1],
        "stability_gap_mean_transient": f.stability_gap_mean_transient(points, ends),
        "stability_gap_mean_drop": f.stability_gap_mean_drop(points, ends),
    }
    for w in (2, 3):
        found[f"wf_{w}"] = f.windowed_forgetting(points, w, ends)
        found[f"wp_{w}"] = f.windowed_plasticity(points, w, ends)
    gaps = expected.pop("stability_gap")
    agree(found, expected)
    for gap in f.stability_gaps(points, ends):
        agree(
            {name: getattr(gap, name) for name in dir(gap) if not name.startswith("_")},
            gaps.pop(f"{gap.old},{gap.new}"),
        )
    assert not gaps


def test_the_area_under_a_learning_curve(examples, agree):
    given, expected = examples["learning_curve_area"].values()
    curves, beta = given["acc_after_b_batches"], given["beta"]
    found = {
        "Z": f.accuracy_after_batches(curves, beta),
        "lca": f.learning_curve_area(curves, beta),
        "lca_without_zero_shot": f.learning_curve_area(curves, beta, include_zero_shot=False),
    }
    agree(found, expected)


def test_forward_transfer_of_learning_curves(examples, agree):
    example = examples["continual_world_forward_transfer"]
    given, expected = example["input"], example["expected"]
    curve, alone = given["curve"], given["single_task_curve"]
    found = {
        "auc": np.mean(curve),
        "auc_single": np.mean(alone),
        "forward_transfer": f.learning_curve_forward_transfer(curve, alone),
    }
    agree(found, expected)
    assert f.learning_curve_forward_transfer([curve, curve], [alone, alone]) == pytest.approx(2 / 9)


def test_a_blind_classifier_on_a_stream(examples, agree):
    example = examples["online"]
    labels = example["input"]["labels"]
    found = {
        "online_accuracy_delay_0": f.near_future_accuracy(labels, labels[:-1]),
        "near_future_accuracy_delay_3": f.near_future_accuracy(labels, labels[:-4], delay=3),
    }
    agree(found, example["expected"])
    assert f.blind_accuracy(labels) == 0.75 and f.blind_accuracy(labels, 3) == 0.0
    assert f.online_accuracy(labels[1:], labels[:-1]) == 0.75


def test_calibration(examples, agree):
    example = examples["calibration"]
    c, right = example["input"].values()
    found = {
        "accuracy": np.mean(right),
        "mean_confidence": np.mean(c),
        "overconfidence": f.overconfidence(c, right),
        "ece_10": f.expected_calibration_error(c, right, 10),
        "ece_5": f.expected_calibration_error(c, right, 5),
        "ece_adaptive_5": f.expected_calibration_error(c, right, 5, adaptive=True),
        "brier_top_label": f.brier_top_label(c, right),
    }
    agree(found, example["expected"])


def test_the_ratio_of_hat(examples, agree):
    given, expected = examples["hat_forgetting_ratio"].values()
    agree({"ratio": f.hat_forgetting_ratio(**given)}, expected)


def test_scores_of_resources(examples, agree):
    given, expected = examples["resource_scores"].values()
    found = {
        "model_size_efficiency": f.model_size_efficiency(given["model_bytes"]),
        "sample_storage_efficiency": f.sample_storage_efficiency(
            given["memory_bytes"], given["dataset_bytes"]
        ),
        "cl_score": f.cl_score(given["criteria"], given["weights"]),
        "relative_time": f.relative_time(given["seconds"], given["seconds_reference"]),
    }
    agree(found, expected)


def test_curves_of_accuracy_against_bytes(examples, agree):
    example = examples["budget_curves"]
    given = example["input"]
    x, reference, candidate = given["log2_bytes"], given["reference"], given["candidate"]
    found = f.compare_budget_curves(x, reference, candidate)
    at = [f.log2_bytes_at_target(x, curve, given["target"]) for curve in (reference, candidate)]
    values = asdict(found) | {
        "byte_ratio": found.byte_ratio,
        "log2_bytes_at_target": at,
        "byte_ratio_at_target": 2 ** (at[1] - at[0]),
    }
    agree(values, example["expected"], atol=1e-4)

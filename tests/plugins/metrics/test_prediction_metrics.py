"""Metrics of predictions, and metrics of the matrix by key, in a plain Avalanche script."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from avalanche.benchmarks import nc_benchmark, ni_benchmark
from avalanche.benchmarks.scenarios.online import split_online_stream
from avalanche.logging import TextLogger
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import JointTraining, Naive
from torch import nn
from torch.utils.data import TensorDataset

from cl_strategies.errors import UserError
from cl_strategies.plugins import (
    LeanEvaluationPlugin,
    MatrixKeyMetric,
    StreamPredictions,
    cl_metrics,
    prediction_metrics,
)
from cl_strategies.plugins.metrics import functional

CLASSES, FEATURES, EXPERIENCES = 6, 4, 3


def tensors(n: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % CLASSES
    centres = torch.randn(CLASSES, FEATURES, generator=torch.Generator().manual_seed(9))
    data = TensorDataset(centres[y] + 0.8 * torch.randn(n, FEATURES, generator=generator), y)
    data.targets = y.tolist()
    return data


def benchmark(**options):
    options = {"task_labels": False, "shuffle": False} | options
    return nc_benchmark(tensors(120, 0), tensors(90, 1), n_experiences=EXPERIENCES, **options)


def strategy(*metrics, kind=Naive, evaluator=EvaluationPlugin, loggers=(), eval_mb_size=16):
    torch.manual_seed(0)
    model = nn.Linear(FEATURES, CLASSES)
    return kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=10,
        train_epochs=2,
        eval_mb_size=eval_mb_size,
        evaluator=evaluator(*metrics, loggers=list(loggers)),
    )


def outputs(naive, experiences) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels of the test samples, computed without any metric."""
    data = [e.dataset.eval() for e in experiences]
    samples = [d[i] for d in data for i in range(len(d))]
    with torch.no_grad():
        logits = naive.model(torch.stack([sample[0] for sample in samples]))
    return logits.double().numpy(), np.array([int(sample[1]) for sample in samples])


def among(logits: np.ndarray, classes) -> np.ndarray:
    allowed = np.isin(np.arange(CLASSES), classes)
    return np.where(allowed, logits, -np.inf)


def test_a_plain_script_logs_what_the_functions_give():
    streams, text = benchmark(), io.StringIO()
    naive = strategy(prediction_metrics(), loggers=[TextLogger(text)])
    for t, experience in enumerate(streams.train_stream):
        naive.train(experience)
        results = naive.eval(streams.test_stream)
        logits, y = outputs(naive, streams.test_stream[: t + 1])
        p = among(logits, range(2 * t + 2)).argmax(axis=1)
        own = np.array(
            [among(row, [2 * (c // 2), 2 * (c // 2) + 1]) for row, c in zip(logits, y, strict=True)]
        )
        probabilities = np.exp(among(logits, range(2 * t + 2)))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        confidence, tasks = probabilities.max(axis=1), np.arange(CLASSES) // 2
        confusion = functional.task_confusion_errors(y, p, tasks, task_aware=own.argmax(axis=1))
        recency = functional.recency_shares(y, p, tasks, last=t)
        expected = {
            "Class_Accuracy/Class001": functional.class_accuracy(y, p)[1],
            "Mean_Class_Accuracy": functional.mean_class_accuracy(y, p),
            "Inter_Task_Error": confusion.inter_task_error,
            "Within_Task_Error": confusion.within_task_error,
            "Task_Confusion_Cost": confusion.task_confusion_cost,
            "Recency_Bias": recency.recency_bias,
            "ECE": functional.expected_calibration_error(confidence, p == y),
            "Overconfidence": functional.overconfidence(confidence, p == y),
            "Negative_Log_Likelihood": functional.negative_log_likelihood(probabilities, y),
        }
        for name, value in expected.items():
            found = results[f"{name}/eval_phase/test_stream"]
            assert found == pytest.approx(value, abs=1e-6), name
    assert results["Task_Confusion_Cost/eval_phase/test_stream"] > 0.1, "nothing to confuse"
    for name in ("Recency_Bias", "ECE_Floor", "Class_Accuracy/Class005"):
        assert f"{name}/eval_phase/test_stream" in text.getvalue()


def test_all_outputs_compete_if_asked_to_and_agree_with_the_matrix():
    streams, matrix = benchmark(), cl_metrics()
    predictions = StreamPredictions(competing="all")
    naive = strategy(matrix, predictions)
    naive.train(streams.train_stream[0])
    naive.eval(streams.test_stream)
    latest = predictions.latest
    assert (latest.predictions == latest.labels).mean() == matrix[0].matrix[0, 0]
    assert latest.task_of_class.tolist() == [0, 0]


def test_told_the_task_only_its_classes_compete():
    streams, predictions = benchmark(), StreamPredictions(competing="task")
    naive = strategy(predictions)
    for experience in streams.train_stream:
        naive.train(experience)
    naive.eval(streams.test_stream)
    latest = predictions.latest
    np.testing.assert_array_equal(latest.predictions, latest.task_aware)
    np.testing.assert_array_equal(latest.predictions // 2, latest.labels // 2)
    assert (latest.confidence > 0.5 - 1e-6).all()


def test_the_size_of_mini_batches_changes_nothing():
    found = []
    for size in (1, 7, 90):
        streams, metrics = benchmark(), prediction_metrics()
        naive = strategy(metrics, eval_mb_size=size)
        naive.train(streams.train_stream[0])
        naive.train(streams.train_stream[1])
        naive.eval(streams.test_stream)
        found.append({k: v for metric in metrics[1:] for k, v in metric.result().items()})
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=1e-6)


def test_nothing_is_logged_before_training_or_for_other_streams():
    streams, metrics = benchmark(), prediction_metrics()
    naive = strategy(metrics)
    assert not any("ECE" in name for name in naive.eval(streams.test_stream))
    naive.train(streams.train_stream[0])
    assert not any("ECE" in name for name in naive.eval(streams.train_stream))
    assert metrics[0].latest is None


def test_the_order_of_training_numbers_the_tasks():
    streams, metrics = benchmark(), prediction_metrics()
    naive = strategy(metrics)
    for t in (2, 0):
        naive.train(streams.train_stream[t])
    naive.eval(streams.test_stream)
    latest = metrics[0].latest
    assert latest.task_of_class.tolist() == [1, 1, -1, -1, 0, 0] and latest.last == 1
    assert set(latest.labels[latest.experience == 0]) == {4, 5}


def test_joint_training_and_parts_of_online_streams_count_their_experiences():
    streams, joint_metrics, online_metrics = benchmark(), prediction_metrics(), prediction_metrics()
    joint = strategy(joint_metrics, kind=JointTraining)
    joint.train(streams.train_stream)
    joint.eval(streams.test_stream)
    online = strategy(online_metrics)
    for part in split_online_stream(streams.train_stream, experience_size=20):
        online.train(part)
    online.eval(streams.test_stream)
    for predictions in (joint_metrics[0], online_metrics[0]):
        assert predictions.latest.task_of_class.tolist() == [0, 0, 1, 1, 2, 2]
        assert len(predictions.latest.labels) == 90


def test_streams_that_share_classes_or_tell_the_task_have_no_task_confusion():
    shared = ni_benchmark(tensors(120, 0), tensors(90, 1), n_experiences=2, shuffle=False)
    for streams in (shared, benchmark(task_labels=True)):
        naive = strategy(prediction_metrics())
        for experience in streams.train_stream:
            naive.train(experience)
        results = naive.eval(streams.test_stream)
        assert math.isnan(results["Inter_Task_Error/eval_phase/test_stream"])
        assert math.isnan(results["Recency_Bias/eval_phase/test_stream"])
        assert math.isfinite(results["ECE/eval_phase/test_stream"])


def test_restored_predictions_know_what_was_trained():
    streams, first, second = benchmark(), StreamPredictions(), StreamPredictions()
    naive = strategy(first)
    for experience in streams.train_stream[:2]:
        naive.train(experience)
    naive.eval(streams.test_stream)
    second.load_state_dict(first.state_dict())
    resumed = strategy(second)
    resumed.model = naive.model
    resumed.eval(streams.test_stream)
    np.testing.assert_array_equal(first.latest.predictions, second.latest.predictions)
    assert second.latest.last == 1
    with pytest.raises(UserError, match="stream='test'"):
        StreamPredictions(stream="valid").load_state_dict(first.state_dict())


def test_metrics_of_the_matrix_by_key():
    streams, metrics = benchmark(), cl_metrics()
    matrix = metrics[0]
    keys = [
        MatrixKeyMetric(matrix=matrix, key="fwt_upper_minus_baseline"),
        MatrixKeyMetric(matrix=matrix, key="aia_weighted"),
        MatrixKeyMetric(matrix=matrix, key="intransigence_mean", joint=[0.9, 0.8, 0.7]),
        MatrixKeyMetric(matrix=matrix, key="omega_all"),
    ]
    naive = strategy(metrics, keys, evaluator=LeanEvaluationPlugin)
    naive.eval(streams.test_stream)
    for experience in streams.train_stream:
        naive.train(experience)
        results = naive.eval(streams.test_stream)
    expected = functional.matrix_metrics(
        matrix.matrix, sizes=matrix.sizes, initial=matrix.initial, joint=[0.9, 0.8, 0.7]
    )
    for key in ("fwt_upper_minus_baseline", "aia_weighted", "intransigence_mean"):
        assert results[f"{key}/eval_phase/test_stream"] == expected[key] != 0
    assert math.isnan(results["omega_all/eval_phase/test_stream"])


def test_bad_options_are_named():
    with pytest.raises(UserError, match="key must be one of 'acc'"):
        MatrixKeyMetric(matrix=cl_metrics()[0], key="accuracy")
    with pytest.raises(UserError, match="competing"):
        StreamPredictions(competing="unseen")
    with pytest.raises(UserError, match="bins"):
        prediction_metrics(bins=0)

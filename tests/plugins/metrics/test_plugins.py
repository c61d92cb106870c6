"""The evaluation plugins in plain Avalanche scripts."""

from __future__ import annotations

import io
import math
import time

import numpy as np
import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.benchmarks.scenarios.generic_scenario import CLExperience
from avalanche.benchmarks.scenarios.online import split_online_stream
from avalanche.evaluation.metrics import accuracy_metrics, loss_metrics
from avalanche.logging import TextLogger
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import JointTraining, Naive
from torch import nn
from torch.utils.data import TensorDataset

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.accuracy_matrix import (
    AccuracyMatrix,
    AverageIncrementalAccuracy,
    Forgetting,
    cl_metrics,
)
from cl_strategies.plugins.metrics.evaluation import LeanEvaluationPlugin
from cl_strategies.plugins.metrics.functional import average_accuracy, forgetting
from cl_strategies.plugins.metrics.resources import (
    MethodStateBytes,
    ParameterBytes,
    TrainSeconds,
    parameter_bytes,
)

CLASSES, FEATURES = 6, 3


def tensors(n: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % CLASSES
    centres = torch.randn(CLASSES, FEATURES, generator=torch.Generator().manual_seed(9))
    data = TensorDataset(centres[y] + 0.3 * torch.randn(n, FEATURES, generator=generator), y)
    data.targets = y.tolist()
    return data


def benchmark():
    return nc_benchmark(
        tensors(120, 0), tensors(60, 1), n_experiences=3, task_labels=False, shuffle=False
    )


def strategy(*metrics, kind=Naive, evaluator=EvaluationPlugin, loggers=(), **options):
    torch.manual_seed(0)
    model = nn.Linear(FEATURES, CLASSES)
    return kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=10,
        train_epochs=2,
        eval_mb_size=16,
        evaluator=evaluator(*metrics, loggers=list(loggers)),
        **options,
    )


def measured(naive: Naive, experience: CLExperience) -> float:
    """The accuracy, computed without any metric."""
    data = experience.dataset.eval()
    x = torch.stack([data[i][0] for i in range(len(data))])
    y = torch.tensor([int(data[i][1]) for i in range(len(data))])
    with torch.no_grad():
        return (naive.model(x).argmax(1) == y).float().mean().item()


def test_matrix_holds_the_accuracy_after_every_experience() -> None:
    matrix = AccuracyMatrix()
    naive, streams = strategy(matrix), benchmark()
    expected = np.full((3, 3), np.nan)
    for t, experience in enumerate(streams.train_stream):
        naive.train(experience)
        naive.eval(streams.test_stream[: t + 1])
        expected[t, : t + 1] = [measured(naive, streams.test_stream[i]) for i in range(t + 1)]
    np.testing.assert_allclose(matrix.matrix, expected, rtol=1e-6)
    assert matrix.sizes == [20, 20, 20]


def test_matrix_agrees_with_avalanche_metrics_and_names_them_in_the_log() -> None:
    matrix, streams = AccuracyMatrix(), benchmark()
    naive = strategy(matrix, accuracy_metrics(experience=True))
    for experience in streams.train_stream:
        naive.train(experience)
    results = naive.eval(streams.test_stream)
    for i in range(3):
        where = f"eval_phase/test_stream/Task000/Exp{i:03}"
        assert results[f"Top1_Acc_Exp/{where}"] == pytest.approx(matrix.matrix[2, i])
        assert results[f"Accuracy_Matrix_Entry/{where}"] == matrix.matrix[2, i]


def test_evaluation_before_training_is_kept_apart() -> None:
    matrix, streams = AccuracyMatrix(), benchmark()
    naive = strategy(matrix)
    naive.eval(streams.test_stream)
    assert matrix.matrix.shape == (0, 3)
    assert np.isfinite(matrix.initial).all()
    naive.train(streams.train_stream[0])
    naive.eval(streams.test_stream)
    assert matrix.matrix.shape == (1, 3)


def test_a_stream_trained_in_one_call_has_one_measured_row() -> None:
    matrix, streams = AccuracyMatrix(), benchmark()
    naive = strategy(matrix)
    naive.train(streams.train_stream)
    naive.eval(streams.test_stream)
    assert np.isnan(matrix.matrix[:2]).all() and np.isfinite(matrix.matrix[2]).all()


def test_joint_training_fills_the_last_row() -> None:
    metrics, streams = cl_metrics(), benchmark()
    joint = strategy(*metrics, kind=JointTraining)
    joint.train(streams.train_stream)
    results = joint.eval(streams.test_stream)
    matrix = metrics[0].matrix
    assert matrix.shape == (3, 3)
    assert np.isnan(matrix[:2]).all() and np.isfinite(matrix[2]).all()
    assert results["Average_Accuracy/eval_phase/test_stream"] == pytest.approx(matrix[2].mean())
    assert math.isnan(results["Forgetting/eval_phase/test_stream"])


def test_evaluating_a_part_leaves_the_rest_unmeasured() -> None:
    metrics, streams = cl_metrics(), benchmark()
    naive = strategy(*metrics)
    for experience in streams.train_stream:
        naive.train(experience)
    results = naive.eval(streams.test_stream[1])
    matrix = metrics[0].matrix
    assert matrix.shape == (3, 3)
    assert np.isfinite(matrix[2, 1]) and np.isnan(matrix).sum() == 8
    assert math.isnan(results["Average_Accuracy/eval_phase/test_stream"])


def test_periodic_and_repeated_evaluation_keep_the_latest_value() -> None:
    matrix, streams = AccuracyMatrix(), benchmark()
    naive = strategy(matrix, eval_every=1)
    for experience in streams.train_stream:
        naive.train(experience, eval_streams=[streams.test_stream])
    expected = [measured(naive, experience) for experience in streams.test_stream]
    np.testing.assert_allclose(matrix.matrix[2], expected, rtol=1e-6)
    assert matrix.matrix.shape == (3, 3) and np.isfinite(matrix.matrix).all()
    naive.eval(streams.test_stream)
    np.testing.assert_allclose(matrix.matrix[2], expected, rtol=1e-6)


def test_evaluating_the_training_stream_does_not_count() -> None:
    metrics, streams = cl_metrics(), benchmark()
    naive = strategy(*metrics, eval_every=0)
    results = naive.train(streams.train_stream[0])
    assert metrics[0].matrix.size == 0
    assert not any(name.startswith("Average_Accuracy") for name in results)


def test_columns_follow_the_order_of_training() -> None:
    matrix, streams = AccuracyMatrix(), benchmark()
    naive = strategy(matrix)
    naive.train(streams.train_stream[2])
    naive.train(streams.train_stream[0])
    naive.eval(streams.test_stream)
    expected = [measured(naive, streams.test_stream[i]) for i in (2, 0, 1)]
    np.testing.assert_allclose(matrix.matrix[1], expected, rtol=1e-6)


def test_parts_of_an_online_stream_are_one_row() -> None:
    matrix, streams = AccuracyMatrix(), benchmark()
    naive = strategy(matrix)
    online = split_online_stream(streams.train_stream, experience_size=20)
    for experience in online:
        naive.train(experience)
    naive.eval(streams.test_stream)
    assert matrix.matrix.shape == (3, 3)


def test_derived_metrics_use_the_functional_module() -> None:
    metrics, streams = cl_metrics(), benchmark()
    naive = strategy(*metrics)
    for experience in streams.train_stream:
        naive.train(experience)
        results = naive.eval(streams.test_stream)
    matrix = metrics[0].matrix
    suffix = "/eval_phase/test_stream"
    assert results["Average_Accuracy" + suffix] == average_accuracy(matrix)
    assert results["Forgetting" + suffix] == forgetting(matrix)
    assert forgetting(matrix) > 0.1, "the stream must make Naive forget, or nothing is tested"
    relative = Forgetting(matrix=metrics[0], relative=True)
    assert relative.result() == forgetting(matrix, relative=True)


def test_weighted_incremental_accuracy_uses_the_test_set_sizes() -> None:
    matrix = AccuracyMatrix()
    matrix.load_state_dict(
        {
            "stream": "test",
            "trained": [0, 1],
            "columns": 2,
            "cells": [[0, 0, 1.0], [1, 0, 0.5], [1, 1, 1.0]],
            "sizes": [[0, 30], [1, 10]],
        }
    )
    weighted = AverageIncrementalAccuracy(matrix=matrix, weighted=True)
    assert weighted.result() == pytest.approx((1.0 + (0.5 * 30 + 1.0 * 10) / 40) / 2)
    assert AverageIncrementalAccuracy(matrix=matrix).result() == pytest.approx((1.0 + 0.75) / 2)


def test_a_restored_matrix_continues_where_it_stopped() -> None:
    streams, whole = benchmark(), AccuracyMatrix()
    naive = strategy(whole)
    state = None
    for t, experience in enumerate(streams.train_stream):
        naive.train(experience)
        naive.eval(streams.test_stream)
        if t == 1:
            state = whole.state_dict()
    resumed = AccuracyMatrix()
    resumed.load_state_dict(state)
    assert resumed.matrix.shape == (2, 3)
    resumed.before_training_exp(type("S", (), {"experience": streams.train_stream[2]})())
    assert resumed.matrix.shape == (3, 3) and np.isnan(resumed.matrix[2]).all()
    np.testing.assert_array_equal(resumed.matrix[:2], whole.matrix[:2])
    with pytest.raises(UserError, match="stream='test'"):
        AccuracyMatrix(stream="valid").load_state_dict(state)


def test_no_metric_copies_an_experience(monkeypatch) -> None:
    streams = benchmark()
    naive = strategy(*cl_metrics(), ParameterBytes(), evaluator=LeanEvaluationPlugin)
    copies = []
    original = CLExperience.logging
    monkeypatch.setattr(CLExperience, "logging", lambda self: copies.append(1) or original(self))
    naive.train(streams.train_stream[0])
    assert 0 < len(copies) < 8, "a few callbacks an experience, none an iteration"


def test_lean_evaluation_logs_what_avalanche_logs() -> None:
    outputs, results = [], []
    for evaluator in (EvaluationPlugin, LeanEvaluationPlugin):
        text = io.StringIO()
        naive = strategy(
            accuracy_metrics(minibatch=True, epoch=True, experience=True, stream=True),
            loss_metrics(minibatch=True, epoch=True),
            *cl_metrics(),
            evaluator=evaluator,
            loggers=[TextLogger(text)],
            eval_every=1,
        )
        streams = benchmark()
        for experience in streams.train_stream:
            naive.train(experience, eval_streams=[streams.test_stream])
        naive.eval(streams.test_stream)
        outputs.append(text.getvalue())
        results.append(naive.evaluator.get_all_metrics())
    assert len(outputs[0]) > 1000 and outputs[0] == outputs[1]
    assert repr(dict(results[0])) == repr(dict(results[1]))


def test_lean_evaluation_hears_metrics_added_later() -> None:
    naive, streams = strategy(evaluator=LeanEvaluationPlugin), benchmark()
    naive.train(streams.train_stream[0])
    assert not hasattr(naive.evaluator, "after_training_iteration")
    naive.evaluator.metrics.append(accuracy_metrics(epoch=True)[0])
    results = naive.train(streams.train_stream[1])
    assert any(name.startswith("Top1_Acc_Epoch") for name in results)


def test_train_seconds_leave_evaluation_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that only the network moves."""
    now = 0.0

    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(FEATURES, CLASSES)

        def forward(self, x):
            nonlocal now
            now += 0.5 if self.training else 64.0
            return self.layer(x)

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    seconds, streams = TrainSeconds(), benchmark()
    naive = strategy(seconds, eval_every=1)
    naive.model = Slow()
    naive.optimizer = torch.optim.SGD(naive.model.parameters(), lr=0.1)
    naive.train(streams.train_stream[0], eval_streams=[streams.test_stream])
    assert seconds.values == [8 * 0.5]  # two epochs of four batches


def test_resource_metrics_have_one_value_per_experience() -> None:
    parameters, state = (
        ParameterBytes(),
        MethodStateBytes(function=lambda s: 7 * s.clock.train_iterations),
    )
    naive, streams = strategy(parameters, state), benchmark()
    for experience in streams.train_stream[:2]:
        results = naive.train(experience)
    assert parameters.values == [4 * (FEATURES * CLASSES + CLASSES)] * 2
    assert state.values == [7 * 8, 7 * 16]
    assert results["Method_State_Bytes/train_phase/train_stream/Exp001"] == 7 * 16
    restored = MethodStateBytes(function=len)
    restored.load_state_dict(state.state_dict())
    assert restored.result() == 7 * 16


def test_parameter_bytes_count_buffers_and_shared_memory_once() -> None:
    tied = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    assert parameter_bytes(tied) == 2 * 64
    tied[1].weight = tied[0].weight
    assert parameter_bytes(tied) == 64
    assert parameter_bytes(nn.BatchNorm1d(3)) == 4 * 3 * 4 + 8
    half = nn.Linear(4, 4, bias=False).half()
    assert parameter_bytes(half) == 32
    half.register_buffer("scratch", torch.zeros(100), persistent=False)
    assert parameter_bytes(half) == 32

"""Metrics of torchmetrics in a plain Avalanche script, against scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from avalanche.benchmarks.scenarios import benchmark_from_datasets
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from avalanche.evaluation import PluginMetric
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive
from sklearn.metrics import average_precision_score, f1_score, mean_squared_error, r2_score
from torch.utils.data import TensorDataset
from torchmetrics import MeanSquaredError, MetricCollection, R2Score
from torchmetrics.classification import MultilabelAveragePrecision, MultilabelF1Score

from cl_strategies.errors import UserError
from cl_strategies.plugins import TorchmetricsMetric

LABELS = 3


class Kept(PluginMetric):
    """Outputs and targets of the latest evaluation."""

    def before_eval(self, strategy):
        self.outputs, self.targets = [], []

    def after_eval_iteration(self, strategy):
        self.outputs.append(strategy.mb_output.detach())
        self.targets.append(strategy.mb_y)

    def result(self):
        return None

    def reset(self):
        pass


def dataset(targets, seed):
    draw = torch.Generator().manual_seed(seed)
    data = TensorDataset(torch.randn(len(targets), 4, generator=draw), targets)
    labels = DataAttribute(torch.zeros(len(targets), dtype=torch.long), "targets_task_labels", True)
    return AvalancheDataset([data], data_attributes=[labels])


def trained(make, criterion, width, *metrics):
    """Train on two experiences and evaluate both; the logged values and what they are of."""
    sets = [dataset(make(seed), seed) for seed in range(2)]
    benchmark = benchmark_from_datasets(train=sets, test=sets)
    torch.manual_seed(0)
    model, kept = torch.nn.Linear(4, width), Kept()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = EvaluationPlugin(*metrics, kept, loggers=[])
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        criterion=criterion,
        train_mb_size=8,
        eval_mb_size=7,
        evaluator=evaluator,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    logged = strategy.eval(benchmark.test_stream)
    sizes = [len(data) for data in sets]
    return logged, torch.cat(kept.outputs).numpy(), torch.cat(kept.targets).numpy(), sizes


def value(logged, name, place="eval_phase/test_stream"):
    return logged[f"{name}/{place}"]


def test_multi_label_metrics_for_each_experience_and_together():
    def targets(seed):
        draw = torch.Generator().manual_seed(10 + seed)
        return (torch.rand(30 + 5 * seed, LABELS, generator=draw) < 0.5).long()

    def loss(output, target):
        return torch.nn.functional.binary_cross_entropy_with_logits(output, target.float())

    logged, outputs, truth, sizes = trained(
        targets,
        loss,
        LABELS,
        TorchmetricsMetric(metric=MultilabelF1Score(num_labels=LABELS), name="F1"),
        TorchmetricsMetric(
            metric=MultilabelAveragePrecision(num_labels=LABELS, average=None), name="AP"
        ),
    )
    right = outputs > 0
    assert value(logged, "F1") == pytest.approx(f1_score(truth, right, average="macro"))
    parts = np.split(np.arange(len(truth)), np.cumsum(sizes)[:-1])
    for k, rows in enumerate(parts):
        place = f"eval_phase/test_stream/Exp00{k}"
        expected = f1_score(truth[rows], right[rows], average="macro")
        assert value(logged, "F1", place) == pytest.approx(expected)
    for label in range(LABELS):
        expected = average_precision_score(truth[:, label], outputs[:, label])
        assert value(logged, f"AP/{label}") == pytest.approx(expected, abs=1e-6)


def test_regression_metrics_of_a_collection():
    def targets(seed):
        return torch.randn(20, 1, generator=torch.Generator().manual_seed(20 + seed))

    both = MetricCollection({"MSE": MeanSquaredError(), "R2": R2Score()})
    logged, outputs, truth, _ = trained(
        targets,
        torch.nn.functional.mse_loss,
        1,
        TorchmetricsMetric(
            metric=both, name="Fit", prepare=lambda output, target: (output[:, 0], target[:, 0])
        ),
    )
    assert value(logged, "Fit/MSE") == pytest.approx(mean_squared_error(truth, outputs))
    assert value(logged, "Fit/R2") == pytest.approx(r2_score(truth, outputs), abs=1e-5)


def test_the_metric_that_is_given_keeps_its_own_state():
    mine = MeanSquaredError()
    mine.update(torch.ones(2), torch.zeros(2))
    wrapped = TorchmetricsMetric(metric=mine, name="MSE")
    assert wrapped.result() == {} and mine.compute() == 1


def test_something_else_is_refused():
    for metric in (MeanSquaredError, "F1", None):
        with pytest.raises(UserError, match=r"torchmetrics\.Metric"):
            TorchmetricsMetric(metric=metric, name="F1")

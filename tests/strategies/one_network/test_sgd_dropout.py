"""SGD with dropout: what it does for forgetting, and that evaluations are without it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cl_strategies.benchmarks import permuted_digits
from cl_strategies.plugins import AccuracyMatrix, LeanEvaluationPlugin, ResidentDataPlugin
from cl_strategies.strategies import Naive, SGDDropout


def trained(kind: Any, benchmark: Any, seed: int, **options: Any) -> tuple[Any, Any]:
    """The strategy after the stream, and the accuracies that it was evaluated with."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
    matrix = AccuracyMatrix()
    strategy = kind(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=2e-3),
        train_mb_size=64,
        train_epochs=5,
        plugins=[ResidentDataPlugin()],
        evaluator=LeanEvaluationPlugin(matrix),
        **options,
    )
    strategy.train(benchmark.train_stream)
    strategy.eval(benchmark.test_stream)
    return strategy, matrix


def mean(matrix: AccuracyMatrix) -> float:
    return sum(matrix.latest.values()) / len(matrix.latest)


@pytest.mark.slow
def test_permuted_digits_are_forgotten_less_than_by_fine_tuning() -> None:
    gains = []
    for seed in range(4):
        benchmark = permuted_digits(n_experiences=5, stream_seed=seed)
        _, ours = trained(SGDDropout, benchmark, seed, input_dropout=0.0, hidden_dropout=0.3)
        gains.append(mean(ours) - mean(trained(Naive, benchmark, seed)[1]))
    assert sum(gains) / 4 > 0.01


def test_it_learns_and_evaluations_are_without_dropout() -> None:
    benchmark = permuted_digits(n_experiences=2, fraction=0.5)
    strategy, matrix = trained(SGDDropout, benchmark, 0)
    first = dict(matrix.latest)
    strategy.eval(benchmark.test_stream)
    assert dict(matrix.latest) == first
    assert mean(matrix) > 0.4

"""Avalanche's own strategies, heads and metrics run on the streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from avalanche.evaluation.metrics import accuracy_metrics, confusion_matrix_metrics
from avalanche.models import IncrementalClassifier, SimpleMLP, as_multitask
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import (
    AGEM,
    DER,
    EWC,
    Cumulative,
    GDumb,
    ICaRL,
    JointTraining,
    LwF,
    Naive,
    Replay,
)
from torch import nn

from cl_strategies.benchmarks import load

ONE_HEAD: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Naive": (Naive, {}),
    "LwF": (LwF, {"alpha": 1.0, "temperature": 2.0}),
    "DER": (DER, {"mem_size": 20}),
    "Replay": (Replay, {"mem_size": 20}),
    "Cumulative": (Cumulative, {}),
    "EWC": (EWC, {"ewc_lambda": 1.0}),
    "GDumb": (GDumb, {"mem_size": 20}),
    "AGEM": (AGEM, {"patterns_per_exp": 8, "sample_size": 8}),
}


class Network(nn.Module):
    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())
        self.classifier = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x))


def settings(model: nn.Module) -> dict[str, Any]:
    evaluator = EvaluationPlugin(
        accuracy_metrics(experience=True, stream=True),
        confusion_matrix_metrics(num_classes=10, stream=True, save_image=False),
        loggers=[],
        strict_checks=True,
    )
    return {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "criterion": nn.CrossEntropyLoss(),
        "train_mb_size": 32,
        "train_epochs": 1,
        "eval_mb_size": 256,
        "evaluator": evaluator,
    }


def accuracy(results: dict[str, Any]) -> list[float]:
    return [value for name, value in results.items() if name.startswith("Top1_Acc_Exp/eval")]


@pytest.mark.parametrize("scenario", ["class", "domain"])
@pytest.mark.parametrize("name", ONE_HEAD)
def test_a_strategy_with_one_head_runs(name: str, scenario: str) -> None:
    factory, options = ONE_HEAD[name]
    benchmark = load("split-digits", n_experiences=3, scenario=scenario, fraction=0.1, order=1)
    model = Network(IncrementalClassifier(16, 2))
    strategy = factory(**settings(model), **options)
    for experience in benchmark.train_stream:
        strategy.train(experience)
    assert len(accuracy(strategy.eval(benchmark.test_stream))) == 3


@pytest.mark.parametrize("name", ["Naive", "LwF", "Replay", "EWC", "Cumulative"])
def test_a_strategy_with_a_head_per_task_runs(name: str) -> None:
    factory, options = ONE_HEAD[name]
    benchmark = load(
        "split-digits", n_experiences=3, scenario="task", fraction=0.1, order=[2, 0, 1]
    )
    model = as_multitask(SimpleMLP(input_size=64, hidden_size=16), "classifier")
    strategy = factory(**settings(model), **options)
    for experience in benchmark.train_stream:
        strategy.train(experience)
    results = strategy.eval(benchmark.test_stream)
    assert len(accuracy(results)) == 3
    assert sorted(model.classifier.classifiers) == ["0", "1", "2"]


def test_icarl_finds_the_order_of_the_classes() -> None:
    benchmark = load("split-digits", n_experiences=3, class_order=8, fraction=0.2)
    strategy_settings = settings(nn.Linear(1, 1))
    for unused in ("model", "criterion"):
        strategy_settings.pop(unused)
    features = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())
    head = nn.Linear(16, 10)
    strategy_settings["optimizer"] = torch.optim.SGD(
        [*features.parameters(), *head.parameters()], lr=0.5
    )
    strategy_settings["train_epochs"] = 5
    strategy = ICaRL(
        **strategy_settings,
        feature_extractor=features,
        classifier=head,
        memory_size=60,
        buffer_transform=None,
        fixed_memory=True,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    assert min(accuracy(strategy.eval(benchmark.test_stream))) > 0.3


def test_joint_training_reads_the_whole_stream() -> None:
    benchmark = load("permuted-digits", n_experiences=2, fraction=0.2)
    strategy = JointTraining(**settings(Network(nn.Linear(16, 10))))
    strategy.train(benchmark.train_stream)
    assert len(accuracy(strategy.eval(benchmark.test_stream))) == 2


def test_streams_can_be_sliced_for_the_evaluation_of_seen_experiences() -> None:
    benchmark = load("split-digits")
    seen = benchmark.test_stream[:2]
    assert [experience.current_experience for experience in seen] == [0, 1]
    assert seen[1].origin_stream.benchmark is benchmark

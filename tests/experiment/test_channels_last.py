"""`train.channels_last`: the same training, with weights in another order of memory."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from cl_strategies.experiment import ExperimentConfig
from cl_strategies.experiment.setup.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.setup.seeding import seed_everything

TABLES: dict[str, dict[str, Any]] = {
    "benchmark": {"name": "split-digits", "n_experiences": 2, "fraction": 0.1},
    "model": {"name": "cnn", "channels": [4, 8]},
}


def trained(strategy: str, **train: Any) -> torch.nn.Module:
    """The network after two experiences."""
    tables = {**TABLES, "strategy": {"name": strategy}, "train": {"epochs": 2, **train}}
    asked = ExperimentConfig.from_dict(tables)
    seed_everything(0)
    benchmark = build_benchmark(asked.benchmark)
    model = build_model(asked, benchmark.info)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No loggers specified")
        made = build_strategy(asked, benchmark.info, model, device="cpu", evaluator=None)
    for experience in benchmark.train_stream:
        made.train(experience)
    return made.model


@pytest.mark.parametrize("strategy", ["naive", "icarl", "ewc"])
def test_a_training_is_that_with_the_usual_order(strategy: str) -> None:
    usual, last = trained(strategy), trained(strategy, channels_last=True)
    for name, weight in usual.named_parameters():
        other = dict(last.named_parameters())[name]
        torch.testing.assert_close(other, weight, rtol=1e-3, atol=1e-4)
        if weight.ndim == 4 and weight.shape[1] > 1:
            assert other.is_contiguous(memory_format=torch.channels_last)
            assert not weight.is_contiguous(memory_format=torch.channels_last)


def test_a_run_that_does_not_ask_for_it_is_the_run_of_before() -> None:
    tables = {**TABLES, "strategy": {"name": "naive"}}
    usual = ExperimentConfig.from_dict(tables)
    last = ExperimentConfig.from_dict({**tables, "train": {"channels_last": True}})
    assert "channels_last" not in usual.to_dict()["train"]
    assert usual.hash != last.hash

"""Streams of a few steps, and strategies that are trained with and without a trace."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from cl_strategies.plugins import ContinualEvaluationPlugin, ResidentDataPlugin
from cl_strategies.registry import registry

#: What fits experiences of a few steps.
OPTIONS: dict[str, dict[str, Any]] = {
    "agem": {"patterns_per_experience": 20, "sample_size": 16},
    "halrp": {"train_epochs": 2},
    "icarl": {"mem_bytes": 5_000},
    "replay": {"mem_size": 31},
}


class Trained:
    """One strategy after three experiences of the digits.

    :ivar strategy: with ``plugin``, if there is one.
    """

    def __init__(self, name: str, *, scenario: str, traced: bool, **options: Any) -> None:
        self.stream = registry("benchmarks")["split-digits"].load()(
            n_experiences=5, scenario=scenario, fraction=0.1
        )
        info = self.stream.info
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        model = registry("models")["small-resnet"].load()(
            input_shape=info.input_shape,
            n_classes=info.n_classes,
            scenario=info.scenario,
            channels=(4, 6),
            stem_stride=1,
        )
        options = {"samples": 15, "every": 1} | options
        self.plugin = ContinualEvaluationPlugin(stream=self.stream.test_stream, **options)
        self.strategy = registry("strategies")[name].load()(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
            plugins=[ResidentDataPlugin(), *([self.plugin] if traced else [])],
            evaluator=None,
            **{"train_mb_size": 16, "train_epochs": 1, **OPTIONS.get(name, {})},
        )

    def train(self, first: int = 0, last: int = 3) -> Trained:
        for experience in self.stream.train_stream[first:last]:
            self.strategy.train(experience)
        return self

    def state(self) -> dict[str, Any]:
        """Weights, running statistics, momentum, and the global generators."""
        moments = [state.get("momentum_buffer") for state in self.strategy.optimizer.state.values()]
        return {
            **self.strategy.model.state_dict(),
            **{f"momentum {k}": value for k, value in enumerate(moments) if value is not None},
            "torch": torch.get_rng_state(),
            "numpy": torch.from_numpy(np.random.get_state()[1].astype(np.int64)),
            "python": torch.tensor(random.getstate()[1]),
        }


@pytest.fixture
def trained():
    def make(name: str, scenario: str = "class", *, traced: bool = True, **options: Any) -> Trained:
        return Trained(name, scenario=scenario, traced=traced, **options)

    return make

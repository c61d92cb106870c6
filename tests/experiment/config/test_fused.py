"""`train.fused`: the same steps, in one pass."""

from __future__ import annotations

import pytest
import torch

from cl_strategies.experiment import ExperimentConfig
from cl_strategies.experiment.config.train_config import TrainConfig
from cl_strategies.experiment.setup.build import build_optimizer


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_fused_optimizer_takes_the_same_steps(optimizer: str) -> None:
    ends = []
    for fused in (False, True):
        torch.manual_seed(0)
        model = torch.nn.Linear(20, 3)
        train = TrainConfig(optimizer=optimizer, fused=fused, lr=0.05, weight_decay=0.01)  # type: ignore[arg-type]
        steps = build_optimizer(train, model)
        assert bool(steps.defaults.get("fused")) is fused
        for x in torch.randn(5, 8, 20, generator=torch.Generator().manual_seed(1)):
            steps.zero_grad()
            model(x).square().mean().backward()
            steps.step()
        ends.append(model.weight.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)
    assert not torch.equal(ends[0], torch.zeros_like(ends[0]))


def test_a_run_that_does_not_ask_for_it_is_the_run_of_before() -> None:
    tables = {
        "benchmark": {"name": "split-digits"},
        "strategy": {"name": "naive"},
    }
    plain = ExperimentConfig.from_dict(tables)
    fused = ExperimentConfig.from_dict({**tables, "train": {"fused": True}})
    assert "fused" not in plain.to_dict()["train"]
    assert plain.hash != fused.hash

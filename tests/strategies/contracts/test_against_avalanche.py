"""Where Avalanche is right, our strategy computes the same weights, up to rounding."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from avalanche.training import supervised
from avalanche.training.plugins import RWalkPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import nn

from cl_strategies.registry import registry


def rwalk(**template: Any) -> Any:
    return SupervisedTemplate(plugins=[RWalkPlugin(ewc_lambda=1.0, delta_t=2)], **template)


#: name, our options, Avalanche's strategy, its options
PAIRS = [
    ("naive", {}, supervised.Naive, {}),
    ("cumulative", {}, supervised.Cumulative, {}),
    ("joint", {}, supervised.JointTraining, {}),
    ("ewc", {"strength": 5.0}, supervised.EWC, {"ewc_lambda": 5.0}),
    (
        "ewc",
        {"strength": 5.0, "mode": "online", "decay_factor": 0.5},
        supervised.EWC,
        {"ewc_lambda": 5.0, "mode": "online", "decay_factor": 0.5},
    ),
    ("mas", {"strength": 0.5}, supervised.MAS, {"lambda_reg": 0.5}),
    ("rwalk", {"strength": 1.0, "delta_t": 2}, rwalk, {}),
    ("lwf", {"alpha": 1.5}, supervised.LwF, {"alpha": 1.5, "temperature": 2}),
    ("replay", {"mem_size": 31}, supervised.Replay, {"mem_size": 31}),
    ("gdumb", {"mem_size": 31}, supervised.GDumb, {"mem_size": 31}),
    ("dark-er", {"mem_size": 31, "alpha": 0.3}, supervised.DER, {"mem_size": 31, "alpha": 0.3}),
]


def weights(factory: Any, options: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The weights after three experiences; a network without dropout or BatchNorm."""
    torch.manual_seed(0)
    random.seed(0)
    benchmark = registry("benchmarks")["split-digits"].load()(n_experiences=3, fraction=0.2)
    info = benchmark.info
    model = registry("models")["mlp"].load()(
        input_shape=info.input_shape, n_classes=10, scenario="class", hidden=[16]
    )
    strategy = factory(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=16,
        train_epochs=2,
        eval_mb_size=64,
        evaluator=None,
        **options,
    )
    if isinstance(strategy, supervised.JointTraining):
        strategy.train(list(benchmark.train_stream))
    else:
        for experience in benchmark.train_stream:
            strategy.train(experience)
    return strategy.model.state_dict()


@pytest.mark.parametrize(("name", "options", "theirs", "their_options"), PAIRS)
def test_a_wrapped_strategy_computes_the_weights_that_avalanche_computes(
    name, options, theirs, their_options
):
    options = {**options, "unseen_classes": "train"}  # Avalanche trains all outputs
    ours = weights(registry("strategies")[name].load(), options)
    reference = weights(theirs, their_options)
    assert ours.keys() == reference.keys()
    for key, value in reference.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-4, atol=1e-6)

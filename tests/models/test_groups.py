"""Groups of optimizers for parameters that come later."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cl_strategies.benchmarks import split_digits
from cl_strategies.errors import UserError
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.strategies import Naive, SingleTask


def groups(model: Any, kind: str) -> list[dict[str, Any]]:
    parameters = list(model.parameters())
    if kind == "decay":
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]
        return [{"params": matrices, "weight_decay": 1e-4}, {"params": vectors}]
    if kind == "empty":
        return [{"params": parameters}, {"params": list(model.head.parameters()), "lr": 0.5}]
    return [{"params": [parameter]} for parameter in parameters]


@pytest.mark.parametrize("method", [Naive, SingleTask])
@pytest.mark.parametrize(("kind", "weight", "bias"), [("decay", 0, 1), ("empty", 1, 1)])
def test_new_heads_join_the_group_that_is_theirs(
    method: Any, kind: str, weight: int, bias: int
) -> None:
    benchmark = split_digits(n_experiences=5, scenario="task", fraction=0.1)
    model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=[8])
    optimizer = torch.optim.SGD(groups(model, kind), lr=0.1)
    strategy = method(model=model, optimizer=optimizer, train_mb_size=32, evaluator=None)
    for experience in benchmark.train_stream[:3]:
        strategy.train(experience)
    held = [{id(p) for p in group["params"]} for group in optimizer.param_groups]
    newest: nn.Linear = strategy.model.head.heads["2"].classifier
    assert id(newest.weight) in held[weight] and id(newest.bias) in held[bias]
    assert sum(map(len, held)) == len(list(strategy.model.parameters()))


def test_a_head_that_could_belong_to_several_groups_is_refused() -> None:
    benchmark = split_digits(n_experiences=5, scenario="task", fraction=0.1)
    model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=[8, 8])
    optimizer = torch.optim.SGD(groups(model, "each"), lr=0.1)
    strategy = Naive(model=model, optimizer=optimizer, train_mb_size=32, evaluator=None)
    with pytest.raises(UserError, match="could belong to 4 groups of the optimizer"):
        strategy.train(benchmark.train_stream[0])

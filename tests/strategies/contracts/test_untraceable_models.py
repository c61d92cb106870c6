"""Strategies that quantise by themselves, on a model whose order of calls cannot be read."""

import pytest
import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.strategies.alignq import AlignQ
from cl_strategies.strategies.lifequant import LifeQuant


class Branching(nn.Module):
    """Its code depends on data; its layers stand in the opposite order of their calls."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 3)
        self.stem = nn.Linear(4, 6)

    def forward(self, x):
        return self.head(self.stem(x if x.sum() > 0 else 2 * x).relu())


@pytest.mark.parametrize("strategy", [AlignQ, LifeQuant])
def test_it_is_refused_when_made_and_works_with_an_example(strategy):
    model = Branching()
    options = {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "criterion": nn.CrossEntropyLoss(),
    }
    with pytest.raises(UserError, match="give a batch .*example="):
        strategy(**options)
    made = strategy(example=torch.zeros(1, 4), **options)
    assert list(quantized_layers(made.model)) == ["stem"]

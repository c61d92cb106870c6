"""Networks that know the digits, one for each seed, and the images that they have not seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.models import small_resnet

Known = tuple[nn.Module, Tensor, Tensor, Tensor]
"""Network in evaluation mode, training images, test images and their labels."""


def trained(seed: int) -> Known:
    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels / 16).float().view(-1, 1, 8, 8), torch.tensor(labels)
    torch.manual_seed(seed)
    model = small_resnet(
        input_shape=(1, 8, 8), n_classes=10, scenario="class", channels=[8, 16], stem_stride=1
    )
    order = torch.randperm(len(x))
    train, test = order[:1200], order[1200:]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(3):
        optimizer.param_groups[0]["lr"] = 0.05 if epoch < 2 else 0.01
        for rows in train[torch.randperm(len(train))].split(32):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model.eval(), x[train], x[test], y[test]


@pytest.fixture(scope="session")
def known() -> Callable[[int], Known]:
    """The network of a seed, trained once."""
    made: dict[int, Known] = {}

    def of(seed: int) -> Known:
        if seed not in made:
            with torch.random.fork_rng(devices=[]):
                made[seed] = trained(seed)
        return made[seed]

    return of

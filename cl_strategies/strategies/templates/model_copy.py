"""Leaving the user's model as it was, where a method changes what a model computes."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn
from torch.optim import Optimizer


def own_copy(model: nn.Module, optimizer: Optimizer) -> nn.Module:
    """Return a copy of ``model``, whose parameters take the place of the originals in
    ``optimizer``."""
    made: dict[int, Any] = {}
    copied = copy.deepcopy(model, made)
    for group in optimizer.param_groups:
        group["params"] = [made.get(id(parameter), parameter) for parameter in group["params"]]
    for parameter in model.parameters():
        if parameter in optimizer.state:
            optimizer.state[made[id(parameter)]] = optimizer.state.pop(parameter)
    return copied

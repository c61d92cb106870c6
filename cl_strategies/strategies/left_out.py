"""Parameters that the user left out of the optimizer."""

from __future__ import annotations

import logging

from torch import nn
from torch.optim import Optimizer

from cl_strategies.plugins.quantization.grouping import learned_parameters

logger = logging.getLogger(__name__)


def freeze_left_out(model: nn.Module, optimizer: Optimizer) -> None:
    """Freeze the parameters that the optimizer leaves out, before anything adds them to it.

    Avalanche gives the optimizer every parameter of the model, and so do methods whose parameters
    change with each experience; a frozen one they leave alone. An optimizer that holds none of the
    model's parameters says nothing about them. What quantisers learn joins the optimizer later.
    """
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if held.isdisjoint(map(id, model.parameters())):
        return
    held |= {id(parameter) for _, parameter in learned_parameters(model)}
    for name, parameter in model.named_parameters():
        if id(parameter) not in held and parameter.requires_grad:
            logger.info("%s is not in the optimizer and stays as it is", name)
            parameter.requires_grad_(False)

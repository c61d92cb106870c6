"""Parameters that the user left out of the optimizer."""

from __future__ import annotations

import copy
import warnings

from torch import nn
from torch.optim import Optimizer

from cl_strategies.plugins.quantization.conversion.layers import learned_parameters
from cl_strategies.validation.plain_data import shown


def freeze_left_out(model: nn.Module, optimizer: Optimizer) -> None:
    """Freeze the parameters that the optimizer leaves out, before anything adds them to it.

    Avalanche gives the optimizer every parameter of the model, and so do methods whose parameters
    change with each experience; a frozen one they leave alone. A warning names what is frozen.

    An optimizer that holds none of the model's parameters, or others beside them, was made for the
    model as it was before (a head has been replaced, the model was copied) and says nothing about
    the parameters that it lacks: they are trained, as in Avalanche. What quantizers learn joins the
    optimizer later.
    """
    _freeze(model, _left_out(model, optimizer))


def copy_to_train(model: nn.Module, optimizer: Optimizer) -> nn.Module:
    """Copy ``model`` as :func:`freeze_left_out` would leave it, without changing ``model``."""
    copied = copy.deepcopy(model)
    _freeze(copied, _left_out(model, optimizer))
    return copied


def _freeze(model: nn.Module, names: set[str]) -> None:
    for name, parameter in model.named_parameters():
        if name in names:
            parameter.requires_grad_(False)


def _left_out(model: nn.Module, optimizer: Optimizer) -> set[str]:
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not held <= {id(parameter) for parameter in model.parameters()}:
        return set()
    held |= {id(parameter) for _, parameter in learned_parameters(model)}
    names = [n for n, p in model.named_parameters() if p.requires_grad and id(p) not in held]
    if names:
        warnings.warn(
            f"the optimizer leaves out {shown(names)}, which is frozen (requires_grad is False): "
            "give it all of model.parameters() to train everything, or freeze what is meant to "
            "stay as it is beforehand",
            stacklevel=2,
        )
    return set(names)

"""How much a loss depends on each weight, as the network computes with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from avalanche.models.utils import avalanche_forward
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from cl_strategies.plugins.modes import evaluating
from cl_strategies.plugins.quantization.layers import constant_weights, quantized_layers
from cl_strategies.plugins.quantization.quantizer import Quantizer


def squared_gradients(
    model: nn.Module,
    data: Any,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    samples: int,
    batch_size: int = 1,
    latent: bool = False,
) -> dict[str, Tensor]:
    """The mean of the squared gradient of the loss, for each parameter.

    With ``batch_size=1`` this is the diagonal of the empirical Fisher matrix; gradients of larger
    batches are averaged before they are squared, as in the authors' code. The model is evaluated,
    not trained: no statistics change.

    :param model: a quantised model.
    :param data: an Avalanche data set of training samples.
    :param loss: of logits and labels.
    :param samples: how many samples to use, drawn without replacement by torch's generator.
    :param batch_size: samples per gradient.
    :param latent: ``False``: gradients with respect to the quantised weights; ``True``: with
        respect to the full-precision parameters behind them.
    :returns: by the name of the parameter. What quantisers learn and what is frozen is left out.
    """
    learned = {id(p) for m in model.modules() if isinstance(m, Quantizer) for p in m.parameters()}
    parameters: dict[str, Tensor] = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and id(parameter) not in learned
    }
    rows = torch.randperm(len(data))[:samples].tolist()
    loader = DataLoader(Subset(data.eval(), rows), batch_size=batch_size)
    device = next(model.parameters()).device
    totals = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    with evaluating(model):
        if latent:
            _accumulate(model, loader, loss, parameters, totals, device)
        else:
            with constant_weights(model) as weights:
                rounded = {name: weights.get(name, value) for name, value in parameters.items()}
                _accumulate(model, loader, loss, rounded, totals, device)
    return {name: total / max(len(loader), 1) for name, total in totals.items()}


def _accumulate(
    model: nn.Module,
    loader: Any,
    loss: Callable[[Tensor, Tensor], Tensor],
    parameters: dict[str, Tensor],
    totals: dict[str, Tensor],
    device: torch.device,
) -> None:
    with torch.enable_grad():
        for batch in loader:
            x, y, task = batch[0].to(device), batch[1].to(device).long(), batch[-1].to(device)
            value = loss(avalanche_forward(model, x, task), y)
            gradients = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
            for name, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    totals[name] += gradient.square()


def computed_weights(model: nn.Module) -> dict[str, Tensor]:
    """What the network computes with, by parameter name: quantised weights with the gradient of
    their quantiser, and every other parameter but those that quantisers learn."""
    learned = {id(p) for m in model.modules() if isinstance(m, Quantizer) for p in m.parameters()}
    found: dict[str, Tensor] = {
        name: parameter
        for name, parameter in model.named_parameters()
        if id(parameter) not in learned
    }
    for name, layer in quantized_layers(model).items():
        found[f"{name}.weight" if name else "weight"] = layer.quantized_weight()
    return found

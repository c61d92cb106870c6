"""How much a loss depends on each weight, as the network computes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from avalanche.models.utils import avalanche_forward
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from typing_extensions import Doc

from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.quantization.conversion.layers import (
    constant_weights,
    plain_parameters,
    quantized_layers,
    weight_name,
)
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class WeightImportance:
    """Weights of a quantized network, and their importances for a loss.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        penalty_form: Annotated[
            Literal["standard", "released"],
            Doc(
                '``"standard"``: the quantized weights that the network computes with; '
                '``"released"``: the latent parameters behind them, as in the authors\' code.'
            ),
        ] = "standard",
        importance_samples: Annotated[
            int, Ge(1), Doc("Training samples per experience to take importances from.")
        ] = 256,
        importance_batch: Annotated[
            int,
            Ge(1),
            Doc(
                "Samples per gradient. 1 is the diagonal of the Fisher matrix; gradients of larger "
                "batches are averaged before they are squared, as in the authors' code."
            ),
        ] = 1,
    ) -> None:
        self.form = penalty_form
        self.samples = importance_samples
        self.batch_size = importance_batch

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the weights that have an importance, by parameter name, with their graph."""
        if self.form == "standard":
            return computed_weights(model)
        return dict(plain_parameters(model))

    def estimate(
        self, model: nn.Module, data: Any, loss: Callable[[Tensor, Tensor], Tensor]
    ) -> dict[str, Tensor]:
        """Return :func:`squared_gradients` of ``loss`` on ``data``."""
        return squared_gradients(
            model,
            data,
            loss,
            samples=self.samples,
            batch_size=self.batch_size,
            latent=self.form == "released",
        )


def squared_gradients(
    model: nn.Module,
    data: Any,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    samples: int,
    batch_size: int = 1,
    latent: bool = False,
) -> dict[str, Tensor]:
    """Return the mean of the squared gradient of the loss, for each parameter.

    With ``batch_size=1`` this is the diagonal of the empirical Fisher matrix; gradients of larger
    batches are averaged before they are squared, as in the authors' code. The model is evaluated,
    not trained: no statistics change.

    :param model: a quantized model.
    :param data: an Avalanche data set of training samples.
    :param loss: a loss of logits and labels.
    :param samples: how many samples to use, drawn without replacement by torch's generator.
    :param batch_size: samples per gradient.
    :param latent: ``False``: gradients with respect to the quantized weights; ``True``: with
        respect to the full-precision parameters behind them.
    :returns: tensors by the name of the parameter. Parameters that quantizers learn or that are
        frozen are left out.
    """
    parameters = {name: p for name, p in plain_parameters(model).items() if p.requires_grad}
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
    parameters: Mapping[str, Tensor],
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
    """Return the weights that the network computes with, by parameter name.

    They are the quantized weights with the gradient of their quantizer, and every other parameter
    but those that quantizers learn.
    """
    found: dict[str, Tensor] = dict(plain_parameters(model))
    for name, layer in quantized_layers(model).items():
        found[weight_name(name, layer)] = layer.quantized_weight()
    return found

"""Giving the layers of an ordinary network Gaussian weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from avalanche.models import DynamicModule
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.bayesian.gaussian_layers import KINDS, GaussianLayer, Noise
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.task_layers.conversion import check_shared


def check_network(network: nn.Module) -> None:
    """Check that a network has layers that can have Gaussian weights.

    :raises UserError: if it has none, or has some already, or two layers share a parameter, or
        weights that are trained are quantized.
    """
    modules = list(network.modules())
    if any(isinstance(module, GaussianLayer) for module in modules):
        raise UserError(
            "the model has Gaussian weights already, of another strategy: give the network that "
            "it was made from"
        )
    for name, layer in quantized_layers(network).items():
        if any(p.requires_grad for p in layer.parameters()):
            raise UserError(
                f"{name} is quantized, and VCL gives its weights a distribution, which no number "
                "of bits holds: give the network at full precision, or freeze its quantized layers"
            )
    check_shared(network, "VCL")
    if not any(type(module) in KINDS or isinstance(module, DynamicModule) for module in modules):
        raise UserError(
            f"VCL gives the weights of Linear and Conv2d layers a distribution, and "
            f"{type(network).__name__} has none: use a model with such layers"
        )


def gaussian_layers(network: nn.Module) -> dict[str, GaussianLayer]:
    """Return the layers with Gaussian weights by name."""
    return {n: part for n, part in network.named_modules() if isinstance(part, GaussianLayer)}


def make_gaussian(
    network: nn.Module,
    noise: Noise,
    log_variance: float,
    *,
    before: Mapping[str, GaussianLayer] | None = None,
) -> None:
    """Give every linear and convolutional layer Gaussian weights, in place.

    The layers keep their names, parameters (the means) and hooks. Tensors that are frozen, and all
    other modules, stay what they are.

    :param noise: shared by the layers.
    :param log_variance: of every weight.
    :param before: layers that others have replaced since, by name, such as the classifier of a
        head that has grown: the first rows go on with their variances.
    """
    for name, layer in network.named_modules():
        kind = KINDS.get(type(layer))
        trained = any(p.requires_grad for p in layer.parameters(recurse=False))
        if kind is not None and trained:
            _convert(layer, kind, noise, log_variance)
            old = (before or {}).get(name)
            if old is not None:
                _go_on(layer, old)


def _convert(
    layer: nn.Module, kind: type[GaussianLayer], noise: Noise, log_variance: float
) -> None:
    for name in ("weight", "bias"):
        mean = layer.get_parameter(name) if getattr(layer, name) is not None else None
        made = None
        if mean is not None and mean.requires_grad:
            made = nn.Parameter(torch.full_like(mean, log_variance))
        layer.register_parameter(f"{name}_log_variance", made)
    weight = layer.get_parameter("weight")
    nothing = torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
    layer.register_buffer("learned", nothing)
    layer.noise = noise  # type: ignore[assignment]
    layer.__class__ = kind


@torch.no_grad()
def _go_on(layer: nn.Module, old: GaussianLayer) -> None:
    rows = len(old.learned)
    layer.get_buffer("learned")[:rows] = old.learned
    for name in ("weight_log_variance", "bias_log_variance"):
        new, known = getattr(layer, name), getattr(old, name)
        if new is not None and known is not None:
            new[:rows] = known

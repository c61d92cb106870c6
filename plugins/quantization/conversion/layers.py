"""From a layer to its quantized form and back, in place, and what there is to know of a network of
such layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION
from cl_strategies.plugins.quantization.layers.attention import QuantMultiheadAttention
from cl_strategies.plugins.quantization.layers.kinds import (
    NORMS,
    QuantConv1d,
    QuantConv2d,
    QuantConv3d,
    QuantConvTranspose1d,
    QuantConvTranspose2d,
    QuantConvTranspose3d,
    QuantLinear,
    QuantOutProjection,
)
from cl_strategies.plugins.quantization.layers.norm_folding import FOLDED, NormFolding
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.quantizers.base import (
    ActivationQuantizer,
    Quantizer,
    WeightQuantizer,
)

#: Plain class -> quantized class.
LAYERS: dict[type[nn.Module], type[QuantizedLayer]] = {
    nn.Conv1d: QuantConv1d,
    nn.Conv2d: QuantConv2d,
    nn.Conv3d: QuantConv3d,
    nn.ConvTranspose1d: QuantConvTranspose1d,
    nn.ConvTranspose2d: QuantConvTranspose2d,
    nn.ConvTranspose3d: QuantConvTranspose3d,
    nn.Linear: QuantLinear,
    NonDynamicallyQuantizableLinear: QuantOutProjection,
    nn.MultiheadAttention: QuantMultiheadAttention,
}
_ADDED = (
    *("weight_quantizer", "input_quantizer", "output_quantizer"),
    *("input_bits", "stand_in", "folding"),
)
_PLAIN = {
    quantized: plain for table in (LAYERS, NORMS, FOLDED) for plain, quantized in table.items()
}


def weight_of(layer: nn.Module) -> nn.Parameter:
    """Return the parameter of a layer that is, or would be, quantized."""
    kind = LAYERS.get(type(layer), type(layer))
    return layer.get_parameter(getattr(kind, "weight_parameter", "weight"))


def arranged_shape(layer: nn.Module) -> list[int]:
    """Return the shape of the weight of a layer, output channels first."""
    shape = list(weight_of(layer).shape)
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        return [layer.out_channels, layer.in_channels // layer.groups, *shape[2:]]
    return shape


def quantize_layer(
    layer: nn.Module,
    weight: WeightQuantizer,
    *,
    inputs: ActivationQuantizer | None = None,
    outputs: ActivationQuantizer | None = None,
    input_bits: int = FULL_PRECISION,
    norm: _BatchNorm | None = None,
) -> None:
    """Turn a plain layer into its quantized form, in place.

    Everything that refers to the layer (hooks, other modules, optimizers) goes on referring to it.

    :param layer: a layer of one of the classes in :data:`LAYERS`.
    :param weight: quantizer of its weight.
    :param inputs: quantizer of its input; ``None`` for none.
    :param outputs: quantizer of its output; ``None`` for none.
    :param input_bits: bits of the input, wherever it was quantized (for counting).
    :param norm: the BatchNorm that takes its output, to be folded into it; ``None`` for none.
    """
    made: Any = layer
    made.__class__ = LAYERS[type(layer)]
    folding = None
    if norm is not None:
        norm.__class__ = FOLDED[type(norm)]
        folding = NormFolding(norm)
    added = (weight, inputs, outputs, input_bits, None, folding)
    for name, value in zip(_ADDED, added, strict=True):
        setattr(layer, name, value)
    _follow(layer, like=weight_of(layer))
    weight.prepare(made.latent().detach())


def quantize_norm(norm: nn.Module, outputs: ActivationQuantizer) -> None:
    """Turn a plain BatchNorm into one whose output is quantized, in place."""
    norm.__class__ = NORMS[type(norm)]
    norm.output_quantizer = outputs
    if norm.weight is not None:
        _follow(norm, like=norm.get_parameter("weight"))


def _follow(layer: nn.Module, *, like: Tensor) -> None:
    for quantizer in layer.children():
        if isinstance(quantizer, Quantizer):
            quantizer.to(device=like.device, dtype=like.dtype).train(layer.training)


def is_quantized(module: nn.Module) -> bool:
    """Return whether :func:`restore_plain` has something to undo."""
    return type(module) in _PLAIN


def restore_plain(module: nn.Module) -> None:
    """Undo :func:`quantize_layer` or :func:`quantize_norm`."""
    module.__class__ = _PLAIN[type(module)]
    for name in _ADDED:
        if hasattr(module, name):
            delattr(module, name)


def quantized_layers(model: nn.Module) -> dict[str, QuantizedLayer]:
    """Return the quantized layers of ``model`` by name, in registration order."""
    modules = model.named_modules()
    return {name: module for name, module in modules if isinstance(module, QuantizedLayer)}


def weight_name(name: str, layer: QuantizedLayer) -> str:
    """Return the name of the parameter that is quantized, of the layer with that name."""
    return f"{name}.{layer.weight_parameter}" if name else layer.weight_parameter


def learned_parameters(model: nn.Module) -> Iterator[tuple[Quantizer, nn.Parameter]]:
    """Yield steps and clipping values, each with the quantizer that it belongs to."""
    for module in model.modules():
        if isinstance(module, Quantizer):
            for parameter in module.parameters(recurse=False):
                yield module, parameter


def plain_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the named parameters of ``model`` but those that quantizers learn."""
    learned = {id(parameter) for _, parameter in learned_parameters(model)}
    return {name: p for name, p in model.named_parameters() if id(p) not in learned}


@contextmanager
def constant_weights(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Compute with the present quantized weights as leaves of the graph.

    Inside, gradients with respect to the tensors given are those of the loss with respect to the
    quantized weights, and no weight is quantized again.

    :returns: name of the weight parameter -> quantized weight, which requires a gradient.
    """
    layers = quantized_layers(model)
    leaves = {}
    for name, layer in layers.items():
        with torch.no_grad():
            leaf = layer.quantized_weight().detach().clone().requires_grad_()
        layer.stand_in = leaves[weight_name(name, layer)] = leaf
    try:
        yield leaves
    finally:
        for layer in layers.values():
            layer.stand_in = None

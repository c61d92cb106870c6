"""Layers with quantized weights. They keep the names and the identity of the parameters of the
layer they replace, so that checkpoints, optimizers and penalties by name still fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.models.batch_norm import BatchNorm1d as SingleBatchNorm1d
from cl_strategies.plugins.quantization.conversion.weight_uses import owning
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION
from cl_strategies.plugins.quantization.quantizers.base import (
    ActivationQuantizer,
    Quantizer,
    WeightQuantizer,
)


class QuantizedLayer(nn.Module):
    """A layer whose weight is quantized in each forward; the parameter stays at full precision.

    Made from an existing layer by :func:`quantize_layer`.
    """

    weight: Tensor
    weight_quantizer: WeightQuantizer
    input_quantizer: ActivationQuantizer | None
    output_quantizer: ActivationQuantizer | None
    input_bits: int
    stand_in: Tensor | None

    def quantized_weight(self) -> Tensor:
        """Return the weight that the layer computes with.

        :raises UserError: in the training of a layer that was loaded from a packed model.
        """
        if self.stand_in is None:
            return owning(self.weight, self.weight_quantizer, self.weight)
        if self.training and not self.stand_in.requires_grad:
            raise UserError(
                "the model was loaded from its packed form, whose weights are integers: call "
                "eval() on it, or train from the checkpoint with the full-precision weights"
            )
        return self.stand_in

    def before(self, x: Tensor) -> Tensor:
        """Quantize the input, if there is a quantizer for it."""
        return x if self.input_quantizer is None else self.input_quantizer(x)

    def after(self, y: Tensor) -> Tensor:
        """Quantize the output, if there is a quantizer for it."""
        return y if self.output_quantizer is None else self.output_quantizer(y)


class QuantConv2d(QuantizedLayer, nn.Conv2d):
    """A convolution, depth-wise or not, with quantized weights."""

    def forward(self, x: Tensor) -> Tensor:
        return owning(self.weight, self._compute, x)

    def _compute(self, x: Tensor) -> Tensor:
        weight = self.quantized_weight()
        return self.after(self._conv_forward(self.before(x), weight, self.bias))


class QuantLinear(QuantizedLayer, nn.Linear):
    """A linear layer with quantized weights."""

    def forward(self, x: Tensor) -> Tensor:
        return owning(self.weight, self._compute, x)

    def _compute(self, x: Tensor) -> Tensor:
        y = nn.functional.linear(self.before(x), self.quantized_weight(), self.bias)
        return self.after(y)


class QuantBatchNorm1d(nn.BatchNorm1d):
    """A BatchNorm whose output is quantized."""

    output_quantizer: ActivationQuantizer

    def forward(self, x: Tensor) -> Tensor:
        return self.output_quantizer(super().forward(x))


class QuantSingleBatchNorm1d(SingleBatchNorm1d):
    """A BatchNorm that takes single samples, whose output is quantized."""

    output_quantizer: ActivationQuantizer

    def forward(self, x: Tensor) -> Tensor:
        return self.output_quantizer(super().forward(x))


class QuantBatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm whose output is quantized."""

    output_quantizer: ActivationQuantizer

    def forward(self, x: Tensor) -> Tensor:
        return self.output_quantizer(super().forward(x))


#: Plain class -> quantized class.
LAYERS: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: QuantConv2d, nn.Linear: QuantLinear}
NORMS: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: QuantBatchNorm1d,
    nn.BatchNorm2d: QuantBatchNorm2d,
    SingleBatchNorm1d: QuantSingleBatchNorm1d,
}
_ADDED = ("weight_quantizer", "input_quantizer", "output_quantizer", "input_bits", "stand_in")
_PLAIN = {quantized: plain for plain, quantized in (LAYERS | NORMS).items()}


def quantize_layer(
    layer: nn.Module,
    weight: WeightQuantizer,
    *,
    inputs: ActivationQuantizer | None = None,
    outputs: ActivationQuantizer | None = None,
    input_bits: int = FULL_PRECISION,
) -> None:
    """Turn a plain ``Conv2d`` or ``Linear`` into its quantized form, in place.

    Everything that refers to the layer (hooks, other modules, optimizers) goes on referring to it.

    :param layer: the layer.
    :param weight: quantizer of its weight.
    :param inputs: quantizer of its input; ``None`` for none.
    :param outputs: quantizer of its output; ``None`` for none.
    :param input_bits: bits of the input, wherever it was quantized (for counting).
    """
    layer.__class__ = LAYERS[type(layer)]
    added = (weight, inputs, outputs, input_bits, None)
    for name, value in zip(_ADDED, added, strict=True):
        setattr(layer, name, value)
    _follow(layer, like=layer.get_parameter("weight"))
    weight.prepare(layer.get_parameter("weight").detach())


def quantize_norm(norm: nn.Module, outputs: ActivationQuantizer) -> None:
    """Turn a plain BatchNorm into one whose output is quantized, in place."""
    norm.__class__ = NORMS[type(norm)]
    norm.output_quantizer = outputs
    if norm.weight is not None:
        _follow(norm, like=norm.get_parameter("weight"))


def _follow(layer: nn.Module, *, like: Tensor) -> None:
    for quantizer in layer.children():
        quantizer.to(device=like.device, dtype=like.dtype).train(layer.training)


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


def weight_name(layer: str) -> str:
    """Return the parameter name of the weight of the layer with that name."""
    return f"{layer}.weight" if layer else "weight"


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
        layer.stand_in = leaves[weight_name(name)] = leaf
    try:
        yield leaves
    finally:
        for layer in layers.values():
            layer.stand_in = None

"""Modules and functions of torch as nodes of a :class:`Network`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.models.backbones.cifar_resnet import Padding
from cl_strategies.models.heads import GrowingClassifier
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION
from cl_strategies.plugins.quantization.layers.kinds import NORMS
from cl_strategies.plugins.quantization.layers.norm_folding import FOLDED
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.onnx.network import Node
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
#: A BatchNorm that is folded in training is part of the layer before it.
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, *FOLDED.values())
#: Modules that are one unit for the export, besides torch's own.
UNITS = (QuantizedLayer, *_NORMS, GrowingClassifier, Padding)


def module(layer: nn.Module, x: Node, name: str) -> Node:
    """Return the value of one module with one input.

    :raises UserError: if it has no ONNX form here.
    """
    if isinstance(layer, _NOTHING):
        return x
    if isinstance(layer, GrowingClassifier):
        return module(layer.by_class(), x, f"{name}.classifier")
    if isinstance(layer, nn.Conv2d | nn.Linear):
        return _weighted(layer, x, name)
    if isinstance(layer, _NORMS):
        return _norm(layer, x, name)
    if isinstance(layer, nn.ReLU):
        return _relu(x)
    if isinstance(layer, nn.ReLU6):
        return Node(kind="clip", inputs=[x], low=0.0, high=6.0)
    if isinstance(layer, nn.Flatten):
        return _flatten(x, layer.start_dim, layer.end_dim)
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        return _global_pool(x, layer.output_size)
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d) and _is_plain(layer):
        return _pool(layer, x)
    if isinstance(layer, Padding):
        return Node(kind="padding", inputs=[x], layer=layer)
    raise UserError(
        f"{name}, a {type(layer).__name__}, has no ONNX form here: export knows convolutions, "
        "linear layers, BatchNorm, ReLU, pooling and flattening"
    )


def _weighted(layer: nn.Conv2d | nn.Linear, x: Node, name: str) -> Node:
    if isinstance(layer, nn.Conv2d) and (
        layer.padding_mode != "zeros" or isinstance(layer.padding, str)
    ):
        raise UserError(f"{name} pads by {layer.padding_mode}, {layer.padding}: use numbers")
    bias, factor, after = layer.bias, None, None
    if isinstance(layer, QuantizedLayer):
        if layer.stand_in is not None:
            raise UserError(
                f"{name} was loaded from a packed model, without its full-precision weights: "
                "export the model that was packed"
            )
        if layer.weight_quantizer.bits != FULL_PRECISION:
            layer.encode()  # refuses levels of more bits
        x, after = _quantized(x, layer.input_quantizer, name), layer.output_quantizer
        if layer.folding is not None:
            bias, factor = layer.folded_bias(), layer.folding.alive().double()
    kind = "linear" if isinstance(layer, nn.Linear) else "conv"
    bias = None if bias is None else bias.detach().double()
    y = Node(kind=kind, inputs=[x], name=name, layer=layer, bias=bias, factor=factor)
    return _quantized(y, after, name)


def _norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Node, name: str) -> Node:
    if layer.running_mean is None or layer.running_var is None:
        raise UserError(f"{name} keeps no running statistics, which an exported model needs")
    y = Node(kind="norm", inputs=[x], name=name, layer=layer)
    after: Any = layer.output_quantizer if type(layer) in NORMS.values() else None
    return _quantized(y, after, name)


def _quantized(x: Node, quantizer: ActivationQuantizer | None, name: str) -> Node:
    if quantizer is None or quantizer.bits == FULL_PRECISION:
        return x
    if not quantizer.is_ready:
        raise UserError(
            f"the activations of {name} have no range yet: train the model, or run a batch in "
            "training mode, before it is exported"
        )
    return Node(kind="quantize", inputs=[x], name=name, layer=quantizer)


def _is_plain(layer: Any) -> bool:
    return not layer.ceil_mode and getattr(layer, "dilation", 1) == 1


def _pool(layer: Any, x: Node) -> Node:
    kernel, stride, padding = (
        list(value) if isinstance(value, tuple) else [value, value]
        for value in (layer.kernel_size, layer.stride, layer.padding)
    )
    options: dict[str, Any] = {"kernel_shape": kernel, "strides": stride, "pads": padding * 2}
    if isinstance(layer, nn.MaxPool2d):
        return Node(kind="max pool", inputs=[x], layer=layer, options=options)
    options["count_include_pad"] = int(layer.count_include_pad)
    return Node(kind="average pool", inputs=[x], layer=layer, options=options)


def _flatten(x: Node, start_dim: int = 0, end_dim: int = -1) -> Node:
    if (start_dim, end_dim) != (1, -1):
        raise UserError("flatten must keep the first dimension and join all others")
    return Node(kind="flatten", inputs=[x])


def _global_pool(x: Node, output_size: Any) -> Node:
    if output_size not in (1, (1, 1), [1, 1]):
        raise UserError(f"adaptive pooling to {output_size} has no ONNX form here: pool to 1")
    return Node(kind="global pool", inputs=[x])


def _average(x: Node, kernel_size: Any, stride: Any = None) -> Node:
    return _pool(nn.AvgPool2d(kernel_size, stride), x)


def _relu(x: Node, inplace: bool = False) -> Node:
    return Node(kind="clip", inputs=[x], low=0.0)


def _sum(x: Any, y: Any) -> Node:
    if not (isinstance(x, Node) and isinstance(y, Node)):
        raise UserError("adding a number has no ONNX form here: add feature maps")
    return Node(kind="sum", inputs=[x, y])


class _BatchSize:
    """The value of ``x.size(0)``, which may only be handed on to a new shape."""


def _size(x: Node, dimension: int | None = None) -> _BatchSize:
    if dimension != 0:
        raise UserError("only the first dimension of a shape can be asked for: x.size(0)")
    return _BatchSize()


def _reshape(x: Node, *shape: Any) -> Node:
    first, *rest = shape[0] if len(shape) == 1 else shape
    if not isinstance(first, _BatchSize) or not all(isinstance(size, int) for size in rest):
        raise UserError("a new shape must begin with x.size(0), followed by numbers")
    return Node(kind="reshape", inputs=[x], options={"shape": rest})


def _same(x: Node) -> Node:
    return x


#: What networks call without a module.
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    F.relu: _relu,
    torch.relu: _relu,
    torch.flatten: _flatten,
    F.adaptive_avg_pool2d: _global_pool,
    F.avg_pool2d: _average,
    operator.add: _sum,
    operator.iadd: _sum,
    torch.add: _sum,
}
METHODS: dict[str, Callable[..., Any]] = {
    "contiguous": _same,
    "flatten": _flatten,
    "relu": _relu,
    "reshape": _reshape,
    "size": _size,
    "view": _reshape,
}

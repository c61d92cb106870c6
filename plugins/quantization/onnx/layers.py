"""Layers and functions as ONNX nodes."""

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
from cl_strategies.plugins.quantization.layers.kinds import NORMS
from cl_strategies.plugins.quantization.layers.norm_folding import FOLDED
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.onnx.activations import activation
from cl_strategies.plugins.quantization.onnx.graph import Graph
from cl_strategies.plugins.quantization.onnx.weights import weight

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
#: Modules that are one unit for the export, besides torch's own.
UNITS = (QuantizedLayer, *_NORMS, GrowingClassifier, Padding)


def module(graph: Graph, layer: nn.Module, x: str, name: str) -> str:
    """Add the nodes of one module with one input.

    :raises UserError: if it has no ONNX form here.
    """
    if isinstance(layer, _NOTHING):
        return x
    if isinstance(layer, GrowingClassifier):
        return module(graph, layer.by_class(), x, f"{name}.classifier")
    if isinstance(layer, nn.Conv2d | nn.Linear):
        return _weighted(graph, layer, x, name)
    if type(layer) in FOLDED.values():
        return x
    if isinstance(layer, _NORMS):
        return _norm(graph, layer, x, name)
    if isinstance(layer, nn.ReLU):
        return graph.add("Relu", x)
    if isinstance(layer, nn.ReLU6):
        return graph.add("Clip", x, graph.constant(0.0), graph.constant(6.0))
    if isinstance(layer, nn.Flatten) and (layer.start_dim, layer.end_dim) == (1, -1):
        return graph.add("Flatten", x, axis=1)
    if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1)):
        return graph.add("GlobalAveragePool", x)
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d) and _is_plain(layer):
        return _pool(graph, layer, x)
    if isinstance(layer, Padding):
        return _padding(graph, layer, x)
    raise UserError(
        f"{name}, a {type(layer).__name__}, has no ONNX form here: export knows convolutions, "
        "linear layers, BatchNorm, ReLU, pooling and flattening"
    )


def _weighted(graph: Graph, layer: nn.Conv2d | nn.Linear, x: str, name: str) -> str:
    after: Any = None
    if isinstance(layer, QuantizedLayer):
        after = layer.output_quantizer
        x = activation(graph, x, layer.input_quantizer, name)
        inputs = [weight(graph, layer, name)]
    else:
        inputs = [graph.constant(layer.weight.float())]
    bias = layer.folded_bias() if isinstance(layer, QuantizedLayer) else layer.bias
    if bias is not None:
        inputs.append(graph.constant(bias.float()))
    if isinstance(layer, nn.Linear):
        y = graph.add("Gemm", x, *inputs, transB=1)
    else:
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise UserError(f"{name} pads by {layer.padding_mode}, {layer.padding}: use numbers")
        y = graph.add(
            "Conv",
            x,
            *inputs,
            strides=list(layer.stride),
            pads=[*layer.padding, *layer.padding],
            dilations=list(layer.dilation),
            group=layer.groups,
        )
    return activation(graph, y, after, name)


def _norm(graph: Graph, layer: nn.BatchNorm1d | nn.BatchNorm2d, x: str, name: str) -> str:
    if layer.running_mean is None or layer.running_var is None:
        raise UserError(f"{name} keeps no running statistics, which an exported model needs")
    ones, zeros = torch.ones_like(layer.running_mean), torch.zeros_like(layer.running_mean)
    terms = (
        ones if layer.weight is None else layer.weight,
        zeros if layer.bias is None else layer.bias,
        layer.running_mean,
        layer.running_var,
    )
    constants = [graph.constant(term.float()) for term in terms]
    y = graph.add("BatchNormalization", x, *constants, epsilon=layer.eps)
    after: Any = layer.output_quantizer if type(layer) in NORMS.values() else None
    return activation(graph, y, after, name)


def _is_plain(layer: Any) -> bool:
    return not layer.ceil_mode and getattr(layer, "dilation", 1) == 1


def _pool(graph: Graph, layer: Any, x: str) -> str:
    kernel, stride, padding = (
        list(value) if isinstance(value, tuple) else [value, value]
        for value in (layer.kernel_size, layer.stride, layer.padding)
    )
    attributes = {"kernel_shape": kernel, "strides": stride, "pads": padding * 2}
    if isinstance(layer, nn.MaxPool2d):
        return graph.add("MaxPool", x, **attributes)
    return graph.add("AveragePool", x, count_include_pad=int(layer.count_include_pad), **attributes)


def _padding(graph: Graph, layer: Padding, x: str) -> str:
    far, twos = graph.constant([2**31 - 1] * 2), graph.constant([2, 2])
    x = graph.add("Slice", x, graph.constant([0, 0]), far, graph.constant([2, 3]), twos)
    before = layer.added // 2
    pads = [0, before, 0, 0, 0, layer.added - before, 0, 0]
    return graph.add("Pad", x, graph.constant(pads), graph.constant(0.0))


def _flatten(graph: Graph, x: str, start_dim: int = 0, end_dim: int = -1) -> str:
    if (start_dim, end_dim) != (1, -1):
        raise UserError("flatten must keep the first dimension and join all others")
    return graph.add("Flatten", x, axis=1)


def _global_pool(graph: Graph, x: str, output_size: Any) -> str:
    if output_size not in (1, (1, 1), [1, 1]):
        raise UserError(f"adaptive pooling to {output_size} has no ONNX form here: pool to 1")
    return graph.add("GlobalAveragePool", x)


def _average(graph: Graph, x: str, kernel_size: Any, stride: Any = None) -> str:
    layer = nn.AvgPool2d(kernel_size, stride)
    return _pool(graph, layer, x)


def _relu(graph: Graph, x: str, inplace: bool = False) -> str:
    return graph.add("Relu", x)


def _sum(graph: Graph, x: Any, y: Any) -> str:
    if not (isinstance(x, str) and isinstance(y, str)):
        raise UserError("adding a number has no ONNX form here: add feature maps")
    return graph.add("Add", x, y)


class _BatchSize:
    """The value of ``x.size(0)``, which may only be handed on to a new shape."""


def _size(graph: Graph, x: str, dimension: int | None = None) -> _BatchSize:
    if dimension != 0:
        raise UserError("only the first dimension of a shape can be asked for: x.size(0)")
    return _BatchSize()


def _reshape(graph: Graph, x: str, *shape: Any) -> str:
    first, *rest = shape[0] if len(shape) == 1 else shape
    if not isinstance(first, _BatchSize) or not all(isinstance(size, int) for size in rest):
        raise UserError("a new shape must begin with x.size(0), followed by numbers")
    return graph.add("Reshape", x, graph.constant([0, *rest]))


def _same(graph: Graph, x: str) -> str:
    return x


#: What networks call without a module.
FUNCTIONS: dict[Callable[..., Any], Callable[..., str]] = {
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

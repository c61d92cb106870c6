"""What a :class:`Network` computes, in torch: for ranges of values, and to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.onnx.network import Network, Node


def folded_weight(node: Node) -> Tensor:
    """Return the weight of a convolution or linear layer, times the node's factor."""
    layer = node.layer
    weight: Tensor = layer.quantized_weight() if isinstance(layer, QuantizedLayer) else layer.weight
    if node.factor is None:
        return weight
    return weight * node.factor.to(weight).reshape(-1, *[1] * (weight.dim() - 1))


@torch.no_grad()
def evaluate(network: Network, x: Tensor) -> Iterator[tuple[Node, Tensor]]:
    """Yield each node with its value for the batch ``x``; values are dropped after their last use.

    :param x: input ``(N, ...)``, of the type of the parameters.
    """
    last = {given: node for node in network.nodes for given in node.inputs}
    values: dict[Node, Tensor] = {}
    for node in network.nodes:
        given = [values[one] for one in node.inputs]
        y = x if node.kind == "input" else COMPUTE[node.kind](node, *given)
        values[node] = y if node.kind == "clip" else y.clamp(node.low, node.high)
        yield node, values[node]
        for one in node.inputs:
            if last[one] is node:
                values.pop(one, None)


def _conv(node: Node, x: Tensor) -> Tensor:
    layer, weight = node.layer, folded_weight(node)
    bias = None if node.bias is None else node.bias.to(weight)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def _linear(node: Node, x: Tensor) -> Tensor:
    weight = folded_weight(node)
    return F.linear(x, weight, None if node.bias is None else node.bias.to(weight))


def _norm(node: Node, x: Tensor) -> Tensor:
    layer = node.layer
    terms = layer.running_mean, layer.running_var, layer.weight, layer.bias
    return F.batch_norm(x, *terms, training=False, eps=layer.eps)


def _layer(node: Node, x: Tensor) -> Tensor:
    y: Tensor = node.layer(x)
    return y


#: Kind of a node -> what it computes from its inputs, but for the clipping.
COMPUTE: dict[str, Callable[..., Tensor]] = {
    "conv": _conv,
    "linear": _linear,
    "norm": _norm,
    "quantize": _layer,
    "max pool": _layer,
    "average pool": _layer,
    "clip": lambda node, x: x.clamp(node.low, node.high),
    "sum": lambda node, x, y: x + y,
    "flatten": lambda node, x: x.flatten(1),
    "reshape": lambda node, x: x.reshape(len(x), *node.options["shape"]),
    "global pool": lambda node, x: x.mean((2, 3), keepdim=True),
    "padding": lambda node, x: node.layer(x),
    "output": lambda node, x: x,
}


def logits(network: Network, x: Tensor) -> Tensor:
    """Return the value of the last node."""
    values = [y for node, y in evaluate(network, x) if node is network.nodes[-1]]
    return values[0]

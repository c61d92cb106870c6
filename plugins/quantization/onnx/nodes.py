"""The single operations of a :class:`Network` as ONNX nodes."""

from __future__ import annotations

from typing import Any

import torch

from cl_strategies.plugins.quantization.onnx.graph import Graph
from cl_strategies.plugins.quantization.onnx.grids import Grid
from cl_strategies.plugins.quantization.onnx.network import Node


def product(graph: Graph, node: Node, x: str, inputs: list[str]) -> str:
    """Add a convolution or linear layer; ``inputs`` are the names of weight and bias."""
    if node.kind == "linear":
        return graph.add("Gemm", x, *inputs, transB=1)
    layer = node.layer
    return graph.add(
        "Conv",
        x,
        *inputs,
        strides=list(layer.stride),
        pads=[*layer.padding, *layer.padding],
        dilations=list(layer.dilation),
        group=layer.groups,
    )


def _norm(graph: Graph, node: Node, x: str) -> str:
    layer = node.layer
    ones, zeros = torch.ones_like(layer.running_mean), torch.zeros_like(layer.running_mean)
    terms = (
        ones if layer.weight is None else layer.weight,
        zeros if layer.bias is None else layer.bias,
        layer.running_mean,
        layer.running_var,
    )
    constants = [graph.constant(term.float()) for term in terms]
    return graph.add("BatchNormalization", x, *constants, epsilon=layer.eps)


def _padding(graph: Graph, node: Node, x: str, grid: Grid | None) -> str:
    far, twos = graph.constant([2**31 - 1] * 2), graph.constant([2, 2])
    x = graph.add("Slice", x, graph.constant([0, 0]), far, graph.constant([2, 3]), twos)
    added = node.layer.added
    pads = graph.constant([0, added // 2, 0, 0, 0, added - added // 2, 0, 0])
    nothing = 0.0 if grid is None else torch.tensor(grid.zero, dtype=torch.uint8)
    return graph.add("Pad", x, pads, graph.constant(nothing))


#: Operations that take bytes as they take floats.
MOVES: dict[str, Any] = {
    "max pool": lambda graph, node, x, grid: graph.add("MaxPool", x, **node.options),
    "flatten": lambda graph, node, x, grid: graph.add("Flatten", x, axis=1),
    "reshape": lambda graph, node, x, grid: graph.add(
        "Reshape", x, graph.constant([0, *node.options["shape"]])
    ),
    "padding": _padding,
}
FLOAT: dict[str, Any] = {
    "input": lambda graph, node: "input",
    "output": lambda graph, node, x: x,
    "norm": _norm,
    "clip": lambda graph, node, x: x,
    "sum": lambda graph, node, x, y: graph.add("Add", x, y),
    "average pool": lambda graph, node, x: graph.add("AveragePool", x, **node.options),
    "global pool": lambda graph, node, x: graph.add("GlobalAveragePool", x),
    **{
        kind: lambda graph, node, x, move=move: move(graph, node, x, None)
        for kind, move in MOVES.items()
    },
}

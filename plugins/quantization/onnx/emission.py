"""A :class:`Network` as ONNX nodes: integers wherever both ends of an operation are on a grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cl_strategies.plugins.quantization.onnx.evaluation import folded_weight
from cl_strategies.plugins.quantization.onnx.graph import Graph
from cl_strategies.plugins.quantization.onnx.grids import BYTE, Grid, grid_of, same
from cl_strategies.plugins.quantization.onnx.lookups import emit
from cl_strategies.plugins.quantization.onnx.network import Network, Node
from cl_strategies.plugins.quantization.onnx.nodes import FLOAT, MOVES, product
from cl_strategies.plugins.quantization.onnx.weights import (
    add_bytes,
    float_weight,
    in_bytes,
    levels,
)


@dataclass(frozen=True)
class Value:
    """An output of a node: codes of a grid in uint8, or float32 without a grid."""

    name: str
    grid: Grid | None = None


class Emission:
    """Write a network into a graph.

    :param graph: the graph.
    :param network: rearranged or not.
    :param grids: grids of the values to hold in bytes; all others are float32.
    :param whole: whether layers between two grids get weights in bytes and biases in int32, which
        are integers of the product's scale; else they are as exact as float32.
    """

    def __init__(
        self, graph: Graph, network: Network, grids: Mapping[Node, Grid], *, whole: bool
    ) -> None:
        self.graph, self.network, self.grids, self.whole = graph, network, grids, whole
        self.values: dict[Node, Value] = {}

    def result(self) -> str:
        """Add all nodes and return the name of the output."""
        for node in self.network.nodes:
            self.values[node] = self._value(node)
        return self.values[self.network.nodes[-1]].name

    def _value(self, node: Node) -> Value:
        if node.kind == "quantize":
            return self._quantized(node)
        if node.kind in MOVES:
            given = self.values[node.inputs[0]]
            if given.grid is not None and not (node.kind == "padding" and given.grid.shift):
                moved = MOVES[node.kind](self.graph, node, given.name, given.grid)
                return Value(moved, given.grid)
        return self._operation(node, self.grids.get(node))

    def _operation(self, node: Node, grid: Grid | None) -> Value:
        """Compute a node and hold it on ``grid``, or in float32."""
        shift = 0.0 if grid is None else grid.shift
        if node.kind in ("conv", "linear"):
            name = self._weighted(node, grid, shift)
        else:
            given = [self.floats(self.values[one]) for one in node.inputs]
            name = FLOAT[node.kind](self.graph, node, *given)
            if shift:
                name = self.graph.add("Sub", name, self.graph.constant(shift))
        if grid is None:
            return Value(self._clipped(name, node))
        return Value(self._codes(name, grid, node.low, node.high), grid)

    def _clipped(self, name: str, node: Node) -> str:
        if node.low == 0 and node.high == math.inf:
            return self.graph.add("Relu", name)
        if node.low == -math.inf and node.high == math.inf:
            return name
        return self.graph.add(
            "Clip", name, self.graph.constant(node.low), self.graph.constant(node.high)
        )

    def _codes(self, name: str, grid: Grid, low: float = -math.inf, high: float = math.inf) -> str:
        """Round ``name``, from which the shift is subtracted already, and clip the codes.

        ``QuantizeLinear`` clips to a byte; a clipping of codes is one of values, as rounding keeps
        their order.
        """
        codes = self.graph.add("QuantizeLinear", name, *self._terms(grid))
        ends = grid.code(low), grid.code(high)
        if ends == (0, BYTE):
            return codes
        bounds = (self.graph.constant(torch.tensor(end, dtype=torch.uint8)) for end in ends)
        return self.graph.add("Clip", codes, *bounds)

    def _terms(self, grid: Grid) -> tuple[str, str]:
        zero = torch.tensor(grid.zero, dtype=torch.uint8)
        return self.graph.constant(grid.scale), self.graph.constant(zero)

    def floats(self, value: Value, *, shifted: bool = True) -> str:
        """Return a value in float32."""
        if value.grid is None:
            return value.name
        name = self.graph.add("DequantizeLinear", value.name, *self._terms(value.grid))
        if value.grid.shift and shifted:
            name = self.graph.add("Add", name, self.graph.constant(value.grid.shift))
        return name

    def _quantized(self, node: Node) -> Value:
        given, grid = self.values[node.inputs[0]], grid_of(node.layer)
        if grid is None:
            with torch.no_grad():
                return Value(emit(node.layer, self.graph, self.floats(given)))
        if same(given.grid, grid):
            return given
        if given.grid is None or given.grid.shift or grid.shift:
            name = self.floats(given)
            if grid.shift:
                name = self.graph.add("Sub", name, self.graph.constant(grid.shift))
            return Value(self._codes(name, grid), grid)
        # From bytes to bytes: onnxruntime makes a table of 256 entries of it, not of a pair of
        # DequantizeLinear and QuantizeLinear alone.
        if given.grid.low >= grid.low - grid.scale / 2:
            grid = grid.at_the_top()
        name = self.graph.unfused(self.floats(given))
        name = self.graph.add("QuantizeLinear", name, *self._terms(grid))
        if grid.first == 0 and grid.last < BYTE:
            name = self._codes_clipped(name, grid)
        return Value(name, grid)

    def _codes_clipped(self, name: str, grid: Grid) -> str:
        ends = torch.tensor([grid.first, grid.last], dtype=torch.uint8)
        return self.graph.add("Clip", name, *(self.graph.constant(end) for end in ends))

    def _weighted(self, node: Node, grid: Grid | None, shift: float) -> str:
        given = self.values[node.inputs[0]]
        found = levels(node)
        bias = node.bias
        padded = node.kind == "conv" and any(node.layer.padding)
        inner = 0.0 if given.grid is None or padded else given.grid.shift
        if shift or inner:
            weight = folded_weight(node).double().flatten(1).sum(1)
            bias = (torch.zeros_like(weight) if bias is None else bias) + inner * weight - shift
        x = self.floats(given, shifted=not inner)
        whole = (
            self.whole
            and found is not None
            and given.grid is not None
            and inner == given.grid.shift
            and (grid is not None or node.kind == "linear")
        )
        if whole and found is not None and given.grid is not None:
            inner_bias = bias if grid is not None else None
            inputs = self._in_bytes(found, inner_bias, given.grid.scale)
            y = product(self.graph, node, x, inputs)
            return self._plus(y, bias, node) if grid is None else y
        inputs = [float_weight(self.graph, node)]
        apart = given.grid is not None  # else onnxruntime would round the bias of such a layer
        if bias is not None and not apart:
            inputs.append(self.graph.constant(bias.float()))
        y = product(self.graph, node, x, inputs)
        if apart and grid is not None:  # nor may it round weights, as between two grids it would
            y = self.graph.unfused(y)
        return self._plus(y, bias, node) if apart else y

    def _plus(self, y: str, bias: Tensor | None, node: Node) -> str:
        """Add a bias in float32."""
        if bias is None:
            return y
        shape = (1, -1, 1, 1) if node.kind == "conv" else (1, -1)
        return self.graph.add("Add", y, self.graph.constant(bias.float().reshape(shape)))

    def _in_bytes(self, found: Any, bias: Tensor | None, scale: float) -> list[str]:
        """Add weights of one byte and a bias in int32, with the scale of the product."""
        codes, unit = in_bytes(found, bias, scale)
        unit = unit.flatten()
        whole_codes, zeros = add_bytes(self.graph, found, codes)
        terms = self.graph.constant(unit.float()), self.graph.constant(zeros)
        inputs = [self.graph.add("DequantizeLinear", whole_codes, *terms, axis=0)]
        if bias is not None:
            # the product of the two scales in float32, as a runtime computes it
            steps = unit.float() * torch.tensor(scale, dtype=torch.float32)
            whole = (bias / steps.double()).round().to(torch.int32)
            terms = self.graph.constant(steps), self.graph.constant(torch.zeros_like(whole))
            inputs.append(
                self.graph.add("DequantizeLinear", self.graph.constant(whole), *terms, axis=0)
            )
        return inputs

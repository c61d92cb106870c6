"""The network as a graph of its own, which is rearranged before it is written."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(eq=False, kw_only=True)
class Node:
    """One value and the operation that computes it.

    :param kind: a key of :data:`~cl_strategies.plugins.quantization.onnx.evaluation.COMPUTE`.
    :param inputs: the values that it takes.
    :param name: name of the layer, for messages.
    :param layer: the module whose parameters it uses.
    :param options: attributes of the operation.
    :param low: the result is clipped from below, as by a ReLU.
    :param high: the result is clipped from above.
    :param factor: float64 ``(output channels,)``: the weight of a convolution or linear layer is
        multiplied by it; ``None``: by one.
    :param bias: float64 ``(output channels,)``, what is added to its result; ``None``: nothing.
    """

    kind: str
    inputs: list[Node] = field(default_factory=list)
    name: str = ""
    layer: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    low: float = -math.inf
    high: float = math.inf
    factor: Tensor | None = None
    bias: Tensor | None = None


@dataclass(eq=False)
class Network:
    """Nodes, each behind those whose values it takes; the last one, ``output``, passes on its
    input."""

    nodes: list[Node]

    def users(self) -> dict[Node, list[Node]]:
        """Return, for each node that has any, the nodes that take its value."""
        found: dict[Node, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for given in node.inputs:
                found[given].append(node)
        return found

    def of_kind(self, *kinds: str) -> Iterator[Node]:
        """Go through the nodes of these kinds; the network may change meanwhile."""
        return (node for node in list(self.nodes) if node.kind in kinds)

    def drop(self, node: Node) -> None:
        """Remove ``node``; those that took its value take that of its input."""
        (before,) = node.inputs
        for user in self.nodes:
            user.inputs = [before if given is node else given for given in user.inputs]
        self.nodes.remove(node)

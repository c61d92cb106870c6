"""Grids of one byte for values that the network itself leaves unrounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cl_strategies.plugins.quantization.onnx.evaluation import evaluate
from cl_strategies.plugins.quantization.onnx.grids import Grid, between, grid_of
from cl_strategies.plugins.quantization.onnx.network import Network, Node
from cl_strategies.plugins.quantization.onnx.rearranging import ORDER_ONLY
from cl_strategies.plugins.quantization.onnx.weights import levels

_BATCH = 64
#: Parts of the measured range that are tried: clipping few values may round all others better.
_PARTS = (1.0, 0.95, 0.9, 0.8, 0.7)
#: Kinds whose values have the grid of their input.
MOVES = (*ORDER_ONLY, "padding")


def shared_grids(network: Network) -> dict[Node, Grid]:
    """Return the grids of values that are only used rounded, and everywhere in the same way."""
    users = network.users()
    found: dict[Node, Grid] = {}
    for node in network.nodes:
        if node.kind in ("quantize", "output"):
            continue
        grids = {_grid(user) for user in users[node]}
        if len(grids) == 1 and (grid := grids.pop()) is not None:
            found[node] = grid
    return found


def _grid(node: Node) -> Grid | None:
    return grid_of(node.layer) if node.kind == "quantize" else None


def measured_grids(
    network: Network, images: Tensor, known: Mapping[Node, Grid]
) -> dict[Node, Grid]:
    """Choose grids for values that integer operations take, but no quantizer of the network gives.

    Of a grid over the measured range, of those over parts of it, and of the quantizers that take
    the value, the one with the smallest squared error is chosen: of the value itself, where it is
    used as it is, and of what each quantizer makes of it.

    :param images: calibration images ``(N, ...)``.
    :param known: :func:`shared_grids`, which stay.
    """
    wanted = [node for node in _wanted(network, known) if node not in known]
    ranges = _ranges(network, images, wanted)
    candidates = {node: _candidates(network, node, *ranges[node]) for node in wanted}
    errors = {node: [0.0] * len(grids) for node, grids in candidates.items()}
    users = network.users()
    for batch in images.split(_BATCH):
        for node, x in evaluate(network, batch):
            for index, grid in enumerate(candidates.get(node, ())):
                errors[node][index] += _error(grid, x, users[node])
    return {
        node: grids[errors[node].index(min(errors[node]))] for node, grids in candidates.items()
    }


def _wanted(network: Network, known: Mapping[Node, Grid]) -> list[Node]:
    """Return the nodes whose value an operation on integers takes unrounded."""
    users = network.users()
    found = set(known)
    for node in reversed(network.nodes):  # users first
        if node.kind not in ("quantize", "output", *MOVES) and any(
            _takes_bytes(user, users, found) for user in users[node]
        ):
            found.add(node)
    return [node for node in network.nodes if node in found]


def _takes_bytes(user: Node, users: Mapping[Node, Sequence[Node]], found: set[Node]) -> bool:
    """Whether an operation is one on integers, given which results are held in bytes."""
    if user.kind in MOVES:
        return any(_takes_bytes(further, users, found) for further in users.get(user, ()))
    if user.kind in ("conv", "linear"):
        return levels(user) is not None and (user in found or user.kind == "linear")
    return user.kind == "sum" or (user.kind in ("average pool", "global pool") and user in found)


def _ranges(
    network: Network, images: Tensor, wanted: Sequence[Node]
) -> dict[Node, tuple[float, float]]:
    found: dict[Node, tuple[float, float]] = {}
    chosen = set(wanted)
    for batch in images.split(_BATCH):
        for node, x in evaluate(network, batch):
            if node in chosen:
                low, high = (float(end) for end in torch.aminmax(x))
                before = found.get(node, (low, high))
                found[node] = min(low, before[0]), max(high, before[1])
    return found


def _candidates(network: Network, node: Node, low: float, high: float) -> list[Grid]:
    grids = [between(part * low, part * high) for part in _PARTS]
    for user in network.users()[node]:
        grid = _grid(user)
        if grid is not None and not grid.shift:
            grids.append(grid)
    return grids


def _error(grid: Grid, x: Tensor, users: Sequence[Node]) -> float:
    rounded = grid.rounded(x)
    error = 0.0
    if any(user.kind != "quantize" for user in users):
        error = float((rounded - x).square().sum())
    for user in users:
        own = _grid(user)
        if own is not None:
            error += float((own.rounded(rounded) - own.rounded(x)).square().sum())
    return error

"""Coresets: a few samples that stand for a task."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_strategies.errors import UserError


@torch.no_grad()
def k_center_order(points: Tensor, k: int, *, first: int = 0) -> Tensor:
    """Choose points greedily, each the farthest from those before it (Gonzalez, 1985).

    :param points: ``(N, d)``; distances are Euclidean.
    :param k: how many to choose, at most N.
    :param first: index of the point to start with.
    :returns: indices ``(k,)``, no two alike, in the order of choice; of equally far points the
        one with the lowest index.
    :raises UserError: if there are fewer than ``k`` points, or none is called ``first``.

    >>> k_center_order(torch.tensor([[0.0], [1.0], [9.0], [5.0]]), 3)
    tensor([0, 2, 3])
    """
    if not 0 <= k <= len(points):
        raise UserError(f"k is {k}: choose 0 to {len(points)} of {len(points)} points")
    if k and not 0 <= first < len(points):
        raise UserError(f"first is {first}: give the index of one of {len(points)} points")
    order: list[int] = []
    distance = points.new_full((len(points),), torch.inf)
    chosen = first
    for _ in range(k):
        order.append(chosen)
        distance = torch.minimum(distance, (points - points[chosen]).square().sum(1))
        distance[order] = -1
        chosen = int((distance == distance.max()).nonzero()[0])
    return torch.tensor(order, dtype=torch.int64, device=points.device)

"""How the feature maps of two networks relate their places and channels (ZAQ)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_strategies.errors import UserError


def relation_map_loss(first: Tensor, second: Tensor, *, gamma: float = 0.1) -> Tensor:
    """Compare two feature maps by the relations of their places and of their channels.

    Both are normalized over channels; the spatial relation map is ``gamma A x + x`` with the
    attention ``A = softmax(x^T x)`` between places, the channel relation map the same with
    ``A = softmax(max_d e_cd - e_cd)`` between channels, ``e = x x^T``. The loss is the mean
    absolute difference of each, added (ZAQ, the spatial and channel relation maps).

    :param first: ``(N, C, h, w)``.
    :param second: the same shape.
    :param gamma: share of what the attention adds.
    :returns: the loss, of no dimension; zero for equal maps.
    :raises UserError: for shapes that differ, or no feature maps.

    >>> x = torch.rand(2, 3, 4, 4)
    >>> relation_map_loss(x, x)
    tensor(0.)
    """
    if first.shape != second.shape or first.ndim != 4:
        raise UserError(
            f"the feature maps have the shapes {tuple(first.shape)} and {tuple(second.shape)}: "
            "give two of one shape (N, C, h, w)"
        )
    a, b = (F.normalize(x, dim=1).flatten(2) for x in (first, second))
    spatial = (_spatial(a, gamma) - _spatial(b, gamma)).abs().mean()
    return spatial + (_channels(a, gamma) - _channels(b, gamma)).abs().mean()


def _spatial(x: Tensor, gamma: float) -> Tensor:
    attention = torch.softmax(x.transpose(1, 2) @ x, dim=-1)
    return gamma * (x @ attention.transpose(1, 2)) + x


def _channels(x: Tensor, gamma: float) -> Tensor:
    energy = x @ x.transpose(1, 2)
    attention = torch.softmax(energy.amax(-1, keepdim=True) - energy, dim=-1)
    return gamma * (attention @ x) + x

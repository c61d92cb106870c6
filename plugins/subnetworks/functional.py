"""Masks from scores (Kang et al., "Forget-free Continual Learning with Winning Subnetworks",
ICML 2022)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl_strategies.errors import UserError


def top_mask(scores: Tensor, capacity: float) -> Tensor:
    """Mark the highest scores (section 3.1).

    :param scores: any shape; all of them compete.
    :param capacity: fraction of the entries to select, above 0 and up to 1; at least one entry
        is selected, and exactly ``round(capacity * scores.numel())`` otherwise. Of equal scores
        at the border the first are taken.
    :returns: bool, of the shape of ``scores``.
    :raises UserError: for a fraction out of range.
    """
    if not 0 < capacity <= 1:
        raise UserError(f"capacity is {capacity}: give a number above 0 and up to 1")
    flat = scores.detach().flatten()
    count = max(1, round(capacity * flat.numel()))
    border = flat.kthvalue(flat.numel() - count + 1).values
    above, equal = flat > border, flat == border
    missing = count - above.sum()
    return (above | equal & (equal.cumsum(0) <= missing)).view_as(scores)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(weight, mask)
        return weight.masked_fill(~mask, 0.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        weight, mask = ctx.saved_tensors
        return gradients[0].masked_fill(~mask, 0.0), gradients[0] * weight, None


def winning_weight(weight: Tensor, scores: Tensor, capacity: float) -> Tensor:
    """Compute the weights of the subnetwork, ``weight * top_mask(scores, capacity)`` (Eq. 3).

    The gradient of the weights is that of the product. That of the scores passes the indicator
    as if it were the identity (Eq. 5): ``gradient * weight`` for every entry, selected or not.

    :param weight: any shape.
    :param scores: of that shape.
    :param capacity: as for :func:`top_mask`.
    :returns: of that shape.
    """
    return _StraightThrough.apply(weight, scores, top_mask(scores, capacity))  # type: ignore

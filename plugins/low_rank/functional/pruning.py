"""Which entries of the low-rank factors are set to zero (HALRP, section 4.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cl_strategies.errors import UserError


def percentile_threshold(factors: Sequence[Tensor], gamma: float) -> float:
    """Compute the (1 - gamma)-percentile of all magnitudes, interpolated linearly (method 2).

    :param factors: the factors to be pruned together; zeros of earlier prunings count.
    :param gamma: fraction of entries to keep, from 0 to 1.
    :raises UserError: for another fraction.
    """
    if not 0 <= gamma <= 1:
        raise UserError(f"gamma is {gamma}: give the fraction of entries to keep, from 0 to 1")
    pool = _magnitudes(factors).sort().values
    if not len(pool):
        return 0.0
    position = (1 - gamma) * (len(pool) - 1)
    low = min(int(position), len(pool) - 1)
    high = min(low + 1, len(pool) - 1)
    return float(torch.lerp(pool[low], pool[high], position - low))


def mixed_threshold(factors: Sequence[Tensor], gamma: float, absolute: float = 1e-5) -> float:
    """Return the larger of an absolute and a relative threshold (method 3).

    :param factors: as in :func:`percentile_threshold`.
    :param gamma: as there.
    :param absolute: the threshold of method 1.
    """
    return max(absolute, percentile_threshold(factors, gamma))


@torch.no_grad()
def prune_below_(factors: Sequence[Tensor], threshold: float) -> int:
    """Set every entry to zero whose magnitude is not above ``threshold``, in place (method 1).

    :returns: how many entries are not zero afterwards.
    """
    kept = 0
    for factor in factors:
        mask = factor.abs().double() > threshold
        factor.mul_(mask)
        kept += int(mask.sum())
    return kept


@torch.no_grad()
def prune_to_budget_(factors: Sequence[Tensor], budget: int) -> int:
    """Set all but the ``budget`` entries of largest magnitude to zero, in place.

    Exact, unlike a percentile: of equal entries the first ones stay. Factors with no more than
    ``budget`` entries that are not zero are left alone.

    :param factors: the factors to be pruned together.
    :param budget: number of entries to keep.
    :returns: how many entries are not zero afterwards.
    :raises UserError: for a negative budget.
    """
    if budget < 0:
        raise UserError(f"budget is {budget}: give the number of entries to keep, 0 or more")
    pool = _magnitudes(factors)
    present = int((pool > 0).sum())
    if present <= budget:
        return present
    keep = torch.zeros_like(pool, dtype=torch.bool)
    keep[torch.argsort(pool, descending=True, stable=True)[:budget]] = True
    sizes = [factor.numel() for factor in factors]
    for factor, mask in zip(factors, keep.split(sizes), strict=True):
        factor.mul_(mask.view_as(factor))
    return budget


def _magnitudes(factors: Sequence[Tensor]) -> Tensor:
    parts = [factor.detach().abs().double().flatten() for factor in factors]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

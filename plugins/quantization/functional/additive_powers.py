"""APoT (Li et al., "Additive Powers-of-Two Quantization", ICLR 2020)."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.functional.channel_statistics import positive, signed_like
from cl_strategies.plugins.quantization.functional.rounding import (
    FULL_PRECISION,
    MAX_BITS,
    check_bits,
    is_continuous,
)


def apot_levels(bits: int, *, signed: bool) -> Tensor:
    """Return the levels of additive powers of two, in units of the clipping value (Eq. 4-5).

    A magnitude is a sum of terms, each of which is zero or one of three powers of two (two bits
    per term; with an odd number of bits one term has a single power and takes one bit).

    :param bits: bit-width from 1 to 8.
    :param signed: a sign and magnitudes of ``bits - 1`` bits, ``2**bits - 1`` levels as the two
        zeros are one (two levels for one bit); else magnitudes of ``bits`` bits, ``2**bits``
        levels.
    :returns: float64, ascending, the largest is 1.
    :raises UserError: for other bits.

    >>> apot_levels(3, signed=True).tolist()
    [-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]
    """
    if check_bits(bits) == FULL_PRECISION:
        raise UserError(f"APoT has no levels for {bits} bits: give 1 to {MAX_BITS}")
    return torch.tensor(_levels(bits, signed), dtype=torch.float64)


@cache
def _levels(bits: int, signed: bool) -> list[float]:
    if not signed:
        return _magnitudes(bits)
    if bits == 1:
        return [-1.0, 1.0]
    above = _magnitudes(bits - 1)[1:]
    return [*(-level for level in reversed(above)), 0.0, *above]


def _magnitudes(bits: int) -> list[float]:
    pairs, odd = divmod(bits, 2)
    terms = [[0.0] for _ in range(pairs)]
    exponent = 0
    for power in range(3):
        if power == 2 and odd:
            exponent += 1
            terms.append([0.0, 2.0**-exponent])
        for term in terms[:pairs]:
            exponent += 1
            term.append(2.0**-exponent)
    levels = sorted(sum(choice) for choice in product(*terms))
    return [level / levels[-1] for level in levels]


def apot(
    x: Tensor, alpha: Tensor, bits: int, *, signed: bool = True, masked: bool = True
) -> Tensor:
    """Clip to ``alpha`` and take the nearest level: ``alpha * level(clamp(x / alpha))`` (Eq. 6).

    The gradient of ``alpha`` is ``sign(x)`` outside of the range and ``q - x / alpha`` inside
    (Eq. 8, the reparameterized clipping function).

    :param x: tensor of any shape; the paper normalizes weights to mean 0 and deviation 1 first.
    :param alpha: clipping value, of one element; its magnitude counts.
    :param bits: bit-width from 1 to 8, or 32 to return ``x``.
    :param signed: whether there are levels on both sides of zero.
    :param masked: whether to stop the gradient of ``x`` outside of the range; the paper does so for
        activations and not for weights.
    :returns: as many levels as :func:`apot_levels` has.
    :raises UserError: for other bits.

    >>> apot(torch.tensor([-9.0, 0.7, 2.0]), torch.tensor(2.0), 3)
    tensor([-2.0000,  0.5000,  2.0000])
    """
    if check_bits(bits) == FULL_PRECISION or x.numel() == 0:
        return x
    result: Tensor = _Apot.apply(x, alpha, bits, signed, masked)
    return result


def apot_codes(unit: Tensor, bits: int, *, signed: bool) -> Tensor:
    """Return indices (int32) of the levels nearest to ``unit``, the lower one of two.

    A search among the midpoints between levels would take many times as long as the rest of a
    step. Instead cells of equal width, so narrow that each holds one midpoint at most, say how many
    midpoints lie below, and one comparison says on which side of its midpoint a value lies.
    """
    below, middle, per_unit = _cells(bits, signed, unit.dtype, unit.device)
    cell = unit.clamp(-1.0 if signed else 0.0, 1.0).flatten().mul_(per_unit).floor_()
    cell = cell.nan_to_num_(0.0)  # a NaN reaches the loss by way of the clipping value
    codes = below.index_select(0, cell.to(torch.int32).add_(per_unit if signed else 0))
    return codes.add_(unit.flatten() > middle.index_select(0, codes)).view(unit.shape)


@cache
def _cells(
    bits: int, signed: bool, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, int]:
    """Midpoints below the lower edge of each cell, the midpoints, and cells per unit."""
    levels = apot_levels(bits, signed=signed)
    middle = ((levels[1:] + levels[:-1]) / 2).to(dtype)
    narrowest = float((middle[1:] - middle[:-1]).amin()) if len(middle) > 1 else 1.0
    per_unit = 1
    while per_unit * narrowest < 1:
        per_unit *= 2
    edges = torch.arange(-per_unit if signed else 0, per_unit + 1, dtype=dtype) / per_unit
    below = torch.bucketize(edges, middle, out_int32=True)
    middle = torch.cat([middle, middle.new_tensor([torch.inf])])
    return below.to(device), middle.to(device), per_unit


def first_level(bits: int, *, signed: bool) -> float:
    """Return the smallest level above zero, in units of the clipping value."""
    return min(level for level in _levels(bits, signed) if level > 0)


@cache
def _levels_on(bits: int, signed: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    return apot_levels(bits, signed=signed).to(device, dtype)


def nearest(unit: Tensor, bits: int, *, signed: bool) -> Tensor:
    """Return the levels nearest to ``unit``, a new tensor."""
    levels = _levels_on(bits, signed, unit.dtype, unit.device)
    codes = apot_codes(unit, bits, signed=signed).flatten()
    return levels.index_select(0, codes).view(unit.shape)  # indexing takes many times longer


class _Apot(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, alpha: Tensor, bits: int, signed: bool, masked: bool
    ) -> Tensor:
        ctx.save_for_backward(x, alpha)
        ctx.settings = bits, signed, masked
        ctx.continuous = is_continuous()
        bound = positive(alpha)
        unit = x / bound
        if ctx.continuous:
            return unit.clamp_(-1.0 if signed else 0.0, 1.0).mul_(bound)
        return nearest(unit, bits, signed=signed).mul_(bound)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        x, alpha = ctx.saved_tensors
        bits, signed, masked = ctx.settings
        unit = x / positive(alpha)
        clipped = unit.clamp(-1.0 if signed else 0.0, 1.0)
        inside = torch.eq(clipped, unit, out=torch.empty_like(unit)).mul_(gradient)
        of_x = inside if masked else gradient
        if not ctx.needs_input_grad[1]:
            return of_x, None, None, None, None
        level = clipped if ctx.continuous else nearest(clipped, bits, signed=signed)
        # clipped, not unit: equal inside, and finite where a tiny alpha makes unit infinite
        of_alpha = torch.sum(level * gradient) - torch.sum(clipped * inside)
        return of_x, signed_like(of_alpha.reshape(alpha.shape), alpha), None, None, None

"""LSQ+ (Bhalgat et al., CVPR workshops 2020, arXiv:2004.09576): a uniform grid whose step and
offset are learned, for activations that reach further up than down."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from cl_strategies.plugins.quantization.functional.channel_statistics import positive, signed_like
from cl_strategies.plugins.quantization.functional.rounding import (
    FULL_PRECISION,
    check_bits,
    is_continuous,
    round_,
)


def lsq_plus(v: Tensor, step: Tensor, offset: Tensor, bits: int) -> Tensor:
    """Quantize with a learned step and a learned offset, from ``offset`` upwards.

    ``round(clamp((v - beta) / s, 0, p)) * s + beta`` with ``p = 2**bits - 1`` (Eq. 3-4). Unlike in
    the paper, ``beta`` counts as the nearest ``-z * s`` with a whole :func:`zero_point` ``z`` in
    ``0 ... p``: zero is a level, so that padding stays exact and integer arithmetic is possible.

    The gradient of ``v`` is masked to the range; that of ``s`` is ``round(u) - u`` with
    ``u = (v - beta) / s`` inside, ``0`` below and ``p`` above (Eq. 5); that of ``beta`` is 0
    inside and 1 outside (Eq. 6). Where ``beta`` is beyond the range of zero points, ``z`` stays,
    and so below the range the gradient of ``s`` is ``-z``, above it ``p - z``. Both gradients are
    multiplied by LSQ's ``1 / sqrt(N * p)`` with ``N`` elements.

    :param v: tensor of any shape.
    :param step: one step, a scalar; its magnitude counts.
    :param offset: the lowest level, a scalar.
    :param bits: bit-width from 1 to 8, or 32 to return ``v``.
    :returns: at most ``2**bits`` levels, one of which is zero.
    :raises UserError: for other bits.

    >>> lsq_plus(torch.tensor([-9.0, 0.6, 9.0]), torch.tensor(0.5), torch.tensor(-0.6), 3)
    tensor([-0.5000,  0.5000,  3.0000])
    """
    if check_bits(bits) == FULL_PRECISION or v.numel() == 0:
        return v
    result: Tensor = _LsqPlus.apply(v, step, offset, bits)
    return result


def zero_point(step: Tensor, offset: Tensor, bits: int) -> Tensor:
    """Return the code of zero, ``-offset / step`` rounded and clipped to ``0 ... 2**bits - 1``, as
    a float.

    :param step: steps, positive.
    :param offset: lowest levels, of the same shape.
    """
    return round_(-offset / step).clamp_(0, 2**bits - 1)


def range_of_least_error(x: Tensor, bits: int, *, rounds: int = 3) -> tuple[Tensor, Tensor]:
    """Return step and offset whose squared error on ``x`` is least (Eq. 7-9).

    The paper descends a gradient from the smallest and the largest value; here each end of the
    range is searched in turn, in 32 parts of its way to zero, which needs no rate.

    :param x: tensor that is not empty, of any shape.
    :param bits: bit-width from 1 to 8.
    :param rounds: how often each end is searched.
    :returns: two scalars; of zeros alone, 1 and 0.
    """
    x = x.flatten()
    low, high = x.amin().clamp_max(0), x.amax().clamp_min(0)
    parts = torch.arange(0, 33, device=x.device, dtype=x.dtype) / 32
    for _ in range(rounds):
        high = _best(x, low.expand(32), parts[1:] * x.amax().clamp_min(0), bits)[1]
        low = _best(x, parts * x.amin().clamp_max(0), high.expand(33), bits)[0]
    step = (high - low) / (2**bits - 1)
    return torch.where(step > 0, step, 1.0), low


def _best(x: Tensor, low: Tensor, high: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    last = 2**bits - 1
    step = ((high - low) / last).clamp_min(1e-12)
    zero = (-low / step).round().clamp(0, last)
    codes = (x / step[:, None]).round_().clamp_(-zero[:, None], (last - zero)[:, None])
    error = codes.mul_(step[:, None]).sub_(x).square_().sum(1)
    best = error.flip(0).argmin()  # of equal errors the widest range
    return low.flip(0)[best], high.flip(0)[best]


def _clamped(scaled: Tensor, zero: Tensor, last: int) -> Tensor:
    """Return codes that are not rounded yet; in two steps, several times faster on a CPU than one
    with bounds that are tensors."""
    return scaled.clamp_min(-zero).clamp_max_(last - zero)


class _LsqPlus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, step: Tensor, offset: Tensor, bits: int) -> Tensor:
        size, last = positive(step), 2**bits - 1
        zero = zero_point(size, offset, bits)
        ctx.save_for_backward(v, step, offset, zero)
        ctx.last, ctx.continuous = last, is_continuous()
        return round_(_clamped(v / size, zero, last)).mul_(size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        v, step, offset, zero = ctx.saved_tensors
        size, last = positive(step), ctx.last
        scaled = v / size
        clipped = _clamped(scaled, zero, last)
        of_v = torch.eq(clipped, scaled, out=scaled).mul_(gradient)
        if not (ctx.needs_input_grad[1] or ctx.needs_input_grad[2]):
            return of_v, None, None, None
        outside = gradient.sum() - of_v.sum()
        free = (offset <= 0) & (offset >= -last * size)
        codes = clipped.clone() if ctx.continuous else clipped.round()
        share = codes.mul_(gradient).sub_(clipped.mul_(of_v)).sum()
        share = torch.where(free, share + zero * outside, share)
        weight = 1.0 / math.sqrt(v.numel() * last)
        of_offset = torch.where(free, outside, 0.0).mul_(weight)
        return of_v, signed_like(share.mul_(weight), step), of_offset, None

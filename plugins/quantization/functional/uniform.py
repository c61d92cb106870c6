"""Uniform min-max quantization: affine or symmetric, per tensor or per channel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl_strategies.plugins.quantization.functional.channel_statistics import (
    group_dims,
    reduce,
    within,
)
from cl_strategies.plugins.quantization.functional.rounding import (
    FULL_PRECISION,
    check_bits,
    is_continuous,
    round_,
)


def uniform_minmax(
    x: Tensor, bits: int, *, symmetric: bool = False, channel: int | None = None
) -> Tensor:
    """Quantize on a uniform grid between the smallest and the largest value.

    Affine: ``s = (max - min) / (2**bits - 1)``, ``zp = round(-min / s)``,
    ``q = (clamp(round(x / s) + zp, 0, 2**bits - 1) - zp) * s``: ``2**bits`` levels; one bit is the
    two ends. Symmetric:
    ``s = max|x| / (2**(bits - 1) - 1)``: ``2**bits - 1`` levels around zero; one bit is
    :func:`binary`.

    :param x: tensor of any shape.
    :param bits: bit-width from 1 to 8, or 32 to return ``x``.
    :param symmetric: whether the grid lies around zero.
    :param channel: dimension whose slices have a range each; ``None``: one range.
    :returns: shape of ``x``. The gradient is that of the identity, the range being a constant.
    :raises UserError: for other bits, or a dimension that ``x`` lacks.

    >>> uniform_minmax(torch.tensor([0.0, 0.4, 3.0]), 2)
    tensor([0., 0., 3.])
    """
    if check_bits(bits) == FULL_PRECISION or x.numel() == 0:
        return x
    if symmetric and bits == 1:
        return binary(x, channel=channel)
    low, high = minmax(x, channel=channel)
    return uniform_range(x, low, high, bits, symmetric=symmetric)


def minmax(x: Tensor, *, channel: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the range of ``x``, a constant, in as many dimensions."""
    dims = group_dims(x, channel)
    return reduce(x.detach(), dims, "amin"), reduce(x.detach(), dims, "amax")


def uniform_range(
    x: Tensor, low: Tensor, high: Tensor, bits: int, *, symmetric: bool = False
) -> Tensor:
    """Quantize as :func:`uniform_minmax` with a given range; values outside are clipped.

    :param low: lower end of the range, broadcastable to ``x``.
    :param high: upper end, likewise; a range of one point is quantized to that point.
    :returns: shape of ``x``; no gradient passes outside of the range.
    """
    scale, zero_point, first, last = affine_grid(low, high, bits, symmetric=symmetric)
    if symmetric:
        high = torch.maximum(low.abs(), high.abs())
        low = -high
    result: Tensor = _Affine.apply(x, scale, zero_point, first, last, low, high)
    return result


def affine_grid(
    low: Tensor, high: Tensor, bits: int, *, symmetric: bool = False
) -> tuple[Tensor, Tensor, int, int]:
    """Return scale, zero point, first and last code of the grid over a range."""
    if symmetric:
        last = 2 ** (bits - 1) - 1
        scale = torch.maximum(low.abs(), high.abs()) / last
        return torch.where(scale > 0, scale, 1.0), torch.zeros_like(scale), -last, last
    last = 2**bits - 1
    scale = (high - low) / last
    # A grid whose code 0 is the only value there is: (0 - zero_point) * scale.
    point = torch.where(high != 0, high, 1.0)
    zero_point = -low / torch.where(scale > 0, scale, 1.0)
    if bits > 1:  # the two levels of one bit are the ends: rounding could make both of them zero
        zero_point = round_(zero_point)
    zero_point = torch.where(scale > 0, zero_point, -1.0)
    zero_point = torch.where((scale > 0) | (high != 0), zero_point, 0.0)
    return torch.where(scale > 0, scale, point), zero_point, 0, last


def affine_codes(x: Tensor, scale: Tensor, zero_point: Tensor, first: int, last: int) -> Tensor:
    """Return integer codes, as floats."""
    if last - first == 1:
        return round_((x / scale).add_(zero_point)).clamp_(first, last)
    return round_(x / scale).add_(zero_point).clamp_(first, last)


def affine_values_(codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """Turn codes into values, in place."""
    return codes.sub_(zero_point).mul_(scale)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor,
        zero_point: Tensor,
        first: int,
        last: int,
        low: Tensor,
        high: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(x, low, high)
        return affine_values_(affine_codes(x, scale, zero_point, first, last), scale, zero_point)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        x, low, high = ctx.saved_tensors
        return within(x, low, high).mul_(gradient), None, None, None, None, None, None


def binary(x: Tensor, *, channel: int | None = None) -> Tensor:
    """Quantize to one bit: ``sign(x) * mean|x|``, with ``sign(0) = 1``.

    :param x: tensor of any shape.
    :param channel: dimension whose slices have a mean each; ``None``: one mean.
    :returns: shape of ``x``; the gradient is that of the identity.
    """
    if x.numel() == 0:
        return x
    result: Tensor = _Binary.apply(x, binary_scale(x, channel=channel))
    return result


def binary_scale(x: Tensor, *, channel: int | None = None) -> Tensor:
    """Return ``mean|x|``, a constant."""
    return reduce(x.detach().abs(), group_dims(x, channel), "mean")


def signs(x: Tensor) -> Tensor:
    """Return +1 where ``x`` is not negative, else -1."""
    return x.clone().ge_(0).mul_(2).sub_(1)


class _Binary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        return x.clone() if is_continuous() else signs(x).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return gradient, None

"""DoReFa (Zhou et al., arXiv:1606.06160) and PACT (Choi et al., arXiv:1805.06085)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl_strategies.plugins.quantization.functional.channel_statistics import (
    positive,
    signed_like,
    within,
)
from cl_strategies.plugins.quantization.functional.rounding import (
    FULL_PRECISION,
    check_bits,
    midrise_codes_,
    midrise_values_,
    round_,
)
from cl_strategies.plugins.quantization.functional.uniform import binary


def dorefa_weight(w: Tensor, bits: int) -> Tensor:
    """Quantize weights by DoReFa: ``2 * round(n * (t / (2 max|t|) + 1/2)) / n - 1``.

    Here ``t = tanh(w)`` and ``n = 2**bits - 1`` (Eq. 9); one bit is ``sign(w) * mean|w|`` (Eq. 7).

    :param w: tensor of any shape.
    :param bits: bit-width from 1 to 8, or 32 to return ``w``.
    :returns: ``2**bits`` levels in [-1, 1]. The gradient is ``g * (1 - t**2) / max|t|``, with
        ``max|t|`` a constant.
    :raises UserError: for other bits.

    >>> dorefa_weight(torch.tensor([-1.0, 0.1, 1.0]), 2)
    tensor([-1.0000,  0.3333,  1.0000])
    """
    if check_bits(bits) == FULL_PRECISION or w.numel() == 0:
        return w
    return binary(w) if bits == 1 else _DoReFaWeight.apply(w, bits)


def dorefa_codes(w: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return codes as floats, ``tanh(w)`` and ``1 / max|tanh(w)|`` (zero for a tensor of zeros)."""
    t = w.tanh()
    largest = t.abs().amax()
    inverse = torch.where(largest > 0, 1 / largest, 0.0)
    return midrise_codes_((t * inverse).mul_(0.5).add_(0.5), bits), t, inverse


class _DoReFaWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor, bits: int) -> Tensor:
        codes, t, inverse = dorefa_codes(w, bits)
        ctx.save_for_backward(t, inverse)
        return midrise_values_(codes, bits, 1.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        t, inverse = ctx.saved_tensors
        return gradient * (1 - t.square()).mul_(inverse), None


def dorefa_activation(x: Tensor, bits: int, *, signed: bool = False) -> Tensor:
    """Quantize activations by DoReFa: ``round(n * clamp(x, 0, 1)) / n``, ``n = 2**bits - 1``.

    This is Eq. 11.

    :param x: tensor of any shape.
    :param bits: bit-width from 1 to 8, or 32 to return ``x``.
    :param signed: whether to use [-1, 1] instead, for inputs that are no output of a ReLU; not in
        the paper.
    :returns: ``2**bits`` levels; the gradient is that of the clamp, ends included.
    :raises UserError: for other bits.

    >>> dorefa_activation(torch.tensor([-0.5, 0.4, 2.0]), 2)
    tensor([0.0000, 0.3333, 1.0000])
    """
    if check_bits(bits) == FULL_PRECISION or x.numel() == 0:
        return x
    result: Tensor = _Clipped.apply(x, bits, signed)
    return result


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int, signed: bool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.low = -1.0 if signed else 0.0
        clipped = x.clamp(ctx.low, 1.0)
        if signed:
            return midrise_values_(midrise_codes_(clipped.mul_(0.5).add_(0.5), bits), bits, 1.0)
        return round_(clipped.mul_(2**bits - 1)).div_(2**bits - 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return within(x, ctx.low, 1.0).mul_(gradient), None, None


def pact(x: Tensor, alpha: Tensor, bits: int, *, signed: bool = False) -> Tensor:
    """Quantize activations by PACT: ``round(a * n / alpha) * alpha / n``.

    Here ``a = clamp(x, 0, alpha)`` and ``n = 2**bits - 1`` (Eq. 1-3).

    :param x: tensor of any shape.
    :param alpha: clipping value, of one element, whose magnitude counts; its gradient is the sum of
        ``g`` where ``x >= alpha``.
    :param bits: bit-width from 1 to 8, or 32 to return ``x``.
    :param signed: whether to use [-alpha, alpha] instead, for inputs that are no output of a ReLU;
        not in the paper.
    :returns: ``2**bits`` levels.
    :raises UserError: for other bits.

    >>> pact(torch.tensor([-0.5, 0.7, 3.0]), torch.tensor(1.5), 2)
    tensor([0.0000, 0.5000, 1.5000])
    """
    if check_bits(bits) == FULL_PRECISION or x.numel() == 0:
        return x
    result: Tensor = _Pact.apply(x, alpha, bits, signed)
    return result


class _Pact(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor, bits: int, signed: bool) -> Tensor:
        ctx.save_for_backward(x, alpha)
        ctx.signed = signed
        bound = positive(alpha)
        unit = (x / bound).clamp_(-1.0 if signed else 0.0, 1.0)
        if signed:
            values = midrise_values_(midrise_codes_(unit.mul_(0.5).add_(0.5), bits), bits, 1.0)
        else:
            values = round_(unit.mul_(2**bits - 1)).div_(2**bits - 1)
        return values.mul_(bound)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        x, alpha = ctx.saved_tensors
        bound = positive(alpha)
        above = torch.ge(x, bound, out=torch.empty_like(x))
        below = torch.le(x, -bound if ctx.signed else 0, out=torch.empty_like(x))
        of_alpha = torch.sum(above * gradient)
        if ctx.signed:
            of_alpha -= torch.sum(below * gradient)
        of_x = above.add_(below).neg_().add_(1).mul_(gradient)
        return of_x, signed_like(of_alpha.reshape(alpha.shape), alpha), None, None

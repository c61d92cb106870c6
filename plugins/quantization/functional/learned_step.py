"""LSQ (Esser et al., ICLR 2020) and LLSQ (Zhao et al., ICLR 2020): uniform grids whose step is
learned."""

from __future__ import annotations

import math
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
    is_continuous,
    round_,
)
from cl_strategies.plugins.quantization.functional.uniform import signs


def code_range(bits: int, *, signed: bool) -> tuple[int, int]:
    """Return the first and the last integer code; one signed bit has the codes -1 and 1 alone."""
    if not signed:
        return 0, 2**bits - 1
    return (-1, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def lsq(v: Tensor, step: Tensor, bits: int, *, signed: bool = True) -> Tensor:
    """Quantize with a learned step size: ``round(clamp(v / s, -Qn, Qp)) * s`` (Eq. 1-2).

    Signed: ``Qn = 2**(bits - 1)``, ``Qp = 2**(bits - 1) - 1``; unsigned: ``0`` and
    ``2**bits - 1``. One signed bit, which the paper does not define, is ``sign(v) * s``.

    The gradient of ``v`` is masked to the range; that of ``s`` is ``round(v / s) - v / s`` inside
    and ``-Qn`` or ``Qp`` outside (Eq. 3), times ``1 / sqrt(N * Qp)`` with ``N`` elements of the
    layer (section 2.2), which are those of ``v`` whether it has one step or one per channel.

    :param v: tensor of any shape.
    :param step: one step, or one per channel, broadcastable to ``v``; its magnitude counts.
    :param bits: bit-width from 1 to 8, or 32 to return ``v``.
    :param signed: whether there are negative codes.
    :returns: at most ``2**bits`` levels.
    :raises UserError: for other bits.

    >>> lsq(torch.tensor([-9.0, 0.6, 9.0]), torch.tensor(0.5), 3)
    tensor([-2.0000,  0.5000,  1.5000])
    """
    if check_bits(bits) == FULL_PRECISION or v.numel() == 0:
        return v
    result: Tensor = _Lsq.apply(v, step, bits, signed)
    return result


def lsq_codes(v: Tensor, step: Tensor, bits: int, *, signed: bool) -> Tensor:
    """Return integer codes, as floats."""
    first, last = code_range(bits, signed=signed)
    scaled = (v / step).clamp_(first, last)
    if signed and bits == 1 and not is_continuous():
        return signs(scaled)
    return round_(scaled)


class _Lsq(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, step: Tensor, bits: int, signed: bool) -> Tensor:
        ctx.save_for_backward(v, step)  # the codes are cheaper to compute again than to keep
        ctx.settings = bits, signed
        ctx.continuous = is_continuous()
        size = positive(step)
        return lsq_codes(v, size, bits, signed=signed).mul_(size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        v, step = ctx.saved_tensors
        bits, signed = ctx.settings
        first, last = code_range(bits, signed=signed)
        scaled = v / positive(step)
        clipped = scaled.clamp(first, last)
        of_v = torch.eq(clipped, scaled, out=scaled).mul_(gradient)
        if not ctx.needs_input_grad[1]:
            return of_v, None, None, None
        codes = clipped
        if not ctx.continuous:
            codes = signs(clipped) if signed and bits == 1 else clipped.round()
        # clipped, not scaled: equal inside, and finite where a tiny step makes scaled infinite
        share = (codes * gradient).sub_(clipped.mul_(of_v)).sum_to_size(step.shape)
        weight = 1.0 / math.sqrt(v.numel() * last)
        share *= weight
        return of_v, signed_like(share, step), None, None


def llsq(v: Tensor, step: Tensor, bits: int, *, signed: bool = True, masked: bool = True) -> Tensor:
    """Quantize as :func:`lsq` does, with a simulated gradient of the step (LLSQ).

    The gradient of the step ``a`` does not depend on the loss: it is ``-a**2``, ``0`` or ``a**2``
    where ``2a``, ``a`` or ``a / 2`` has the smallest squared error on ``v``, so that descent
    moves the step towards the better one. Where two are as good, as on zeros, ``a`` stays.

    :param v: tensor of any shape.
    :param step: one step, or one per channel, broadcastable to ``v``; its magnitude counts.
    :param bits: bit-width from 1 to 8, or 32 to return ``v``.
    :param signed: whether there are negative codes.
    :param masked: whether to stop the gradient of ``v`` outside of the range; the paper does so for
        activations and not for weights.
    :returns: at most ``2**bits`` levels.
    :raises UserError: for other bits.
    """
    if check_bits(bits) == FULL_PRECISION or v.numel() == 0:
        return v
    result: Tensor = _Llsq.apply(v, step, bits, signed, masked)
    return result


def llsq_round_step(step: Tensor) -> Tensor:
    """Round steps to 16 bits with a common power-of-two exponent, as the paper's integer
    arithmetic needs them.

    :param step: positive tensor of any shape.
    :returns: its shape; not differentiable.
    """
    if step.numel() == 0:
        return step
    size = positive(step.detach())
    exponent = 16 - torch.ceil(torch.log2(size.amax()) + 1 - 1e-5)
    return torch.ldexp(torch.ldexp(size, exponent).round_().clamp_min_(1), -exponent)


class _Llsq(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, step: Tensor, bits: int, signed: bool, masked: bool) -> Tensor:
        ctx.save_for_backward(v, step)
        ctx.settings = bits, signed, masked
        size = positive(step)
        return lsq_codes(v, size, bits, signed=signed).mul_(size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        v, step = ctx.saved_tensors
        bits, signed, masked = ctx.settings
        size = positive(step)
        of_v = gradient
        if masked:
            of_v = within(v / size, *code_range(bits, signed=signed)).mul_(gradient)
        if not ctx.needs_input_grad[1]:
            return of_v, None, None, None, None
        errors = []
        for factor in (1.0, 0.5, 2.0):
            error = lsq_codes(v, size * factor, bits, signed=signed).mul_(size * factor).sub_(v)
            errors.append(error.square_().sum_to_size(step.shape))
        kept, halved, doubled = errors
        direction = (halved < torch.minimum(kept, doubled)).to(step.dtype)
        direction -= (doubled < torch.minimum(kept, halved)).to(step.dtype)
        return of_v, signed_like(direction * step.square(), step), None, None, None

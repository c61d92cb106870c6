"""AlignQ's quantizers (Chen, Yang, Chen, "AlignQ: Alignment Quantization with ADMM-based
Correlation Preservation", CVPR 2022): uniform levels after the normal distribution function."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from cl_strategies.errors import unknown_name
from cl_strategies.plugins.quantization.functional.channel_statistics import (
    standardize,
    standardize_backward,
)
from cl_strategies.plugins.quantization.functional.rounding import (
    FULL_PRECISION,
    check_bits,
    is_continuous,
    midrise_codes_,
    midrise_values_,
    round_,
)
from cl_strategies.plugins.quantization.functional.uniform import signs

#: ``"exact"``: 2**bits levels; ``"released"``: those of the authors' code with ADMM.
Levels = Literal["exact", "released"]
_DENSITY = math.sqrt(2 / math.pi)


def check_levels(levels: str) -> None:
    """:raises UserError: unless ``levels`` is one of :data:`Levels`."""
    if levels not in get_args(Levels):
        raise unknown_name("choice of levels", levels, get_args(Levels))


def cdf_align_weight(
    w: Tensor, bits: int, *, levels: Levels = "exact", channel: int | None = None
) -> Tensor:
    """Quantize weights to levels that are uniform in their normal distribution function.

    ``q = 2 * round(n * Phi((w - mean) / sigma)) / n - 1`` with ``n = 2**bits - 1`` and the unbiased
    sigma (Theorem 3.1). The gradient passes through mean and sigma: it neither shifts nor scales
    the tensor. A constant tensor counts as being at its mean.

    :param w: tensor of any shape.
    :param bits: bit-width from 1 to 8, or 32 to return ``w``.
    :param levels: ``"exact"``: ``2**bits`` levels, odd multiples of ``1/n``; ``"released"``:
        ``round(n * (2 Phi - 1)) / n``, the ``2**(bits + 1) - 1`` levels of the authors' code with
        ADMM, which need one bit more (for one bit, the sign).
    :param channel: dimension whose slices are aligned one by one; ``None``: the whole tensor.
    :returns: values in [-1, 1], shape of ``w``.
    :raises UserError: for other bits or levels.

    >>> cdf_align_weight(torch.tensor([-2.0, -0.1, 0.1, 2.0]), 2)
    tensor([-1.0000, -0.3333,  0.3333,  1.0000])
    """
    check_levels(levels)
    if check_bits(bits) == FULL_PRECISION or w.numel() == 0:
        return w
    result: Tensor = _AlignWeight.apply(w, bits, levels, channel)
    return result


def cdf_align_activation(
    x: Tensor, bits: int, *, act_range: float = 2.0, levels: Levels = "exact"
) -> Tensor:
    """Quantize activations that are standard normal, as after a BatchNorm and before its ReLU.

    ``q = R * (2 * round(n * Phi(x)) / n - 1)``. Nothing is estimated from the batch.

    :param x: tensor of any shape.
    :param bits: bit-width from 1 to 8, or 32 to return ``x``.
    :param act_range: bound ``R`` of the levels.
    :param levels: ``"exact"``: ``2**bits`` levels; ``"released"``:
        ``round(n * R * (2 Phi - 1)) / n``, the ``2**(bits + 2) - 3`` levels (at ``R = 2``) of the
        authors' code with ADMM.
    :returns: values in [-R, R], shape of ``x``; the gradient is ``g * 2 R phi(x)``.
    :raises UserError: for other bits or levels.

    >>> cdf_align_activation(torch.tensor([-3.0, -0.1, 0.1, 3.0]), 2)
    tensor([-2.0000, -0.6667,  0.6667,  2.0000])
    """
    check_levels(levels)
    if check_bits(bits) == FULL_PRECISION or x.numel() == 0:
        return x
    result: Tensor = _AlignActivation.apply(x, bits, act_range, levels)
    return result


def aligned(x: Tensor) -> Tensor:
    """Return ``2 Phi(x) - 1``, a new tensor."""
    return (x * math.sqrt(0.5)).erf_()


def aligned_codes(x: Tensor, bits: int) -> Tensor:
    """Return the codes of ``Phi(x)``, as floats."""
    return midrise_codes_(aligned(x).add_(1.0).mul_(0.5), bits)


def _quantize(x: Tensor, bits: int, bound: float, levels: str) -> Tensor:
    if levels == "exact":
        return midrise_values_(aligned_codes(x, bits), bits, bound)
    if bits == 1 and not is_continuous():
        return signs(x)
    n = 2**bits - 1
    return round_(aligned(x).mul_(n * bound)).div_(n)


def _slope(x: Tensor, bound: float) -> Tensor:
    """Return ``2 bound phi(x)``."""
    return x.square().mul_(-0.5).exp_().mul_(_DENSITY * bound)


class _AlignWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor, bits: int, levels: str, channel: int | None) -> Tensor:
        z, inverse = standardize(w, channel)
        ctx.save_for_backward(z, inverse)
        ctx.channel = channel
        return _quantize(z, bits, 1.0, levels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        z, inverse = ctx.saved_tensors
        of_z = _slope(z, 1.0).mul_(gradient)
        return standardize_backward(of_z, z, inverse, ctx.channel), None, None, None


class _AlignActivation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int, bound: float, levels: str) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return _quantize(x, bits, bound, levels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return _slope(x, ctx.bound).mul_(gradient), None, None, None

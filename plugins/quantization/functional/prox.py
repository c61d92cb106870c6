"""LifeQuant's ProxQ (Chen, Yang, Chen, "Overcoming Forgetting Catastrophe in Quantization-Aware
Training", ICCV 2023, Sec. 5.2): every task's weights are quantized in one standard space."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.functional.channel_statistics import (
    standardize,
    standardize_backward,
)
from cl_strategies.plugins.quantization.functional.rounding import (
    FULL_PRECISION,
    check_bits,
    midrise_codes_,
    midrise_values_,
    round_,
)
from cl_strategies.plugins.quantization.functional.uniform import binary


def prox_weight(
    w: Tensor,
    bits: int,
    *,
    alpha: float | None = 1.0,
    clamp: bool = True,
    channel: int | None = None,
) -> Tensor:
    """Quantize weights in the standard space, mean 0 and deviation ``alpha / 2``.

    ``v = (w - mean) / sigma * alpha / 2`` with the unbiased sigma lies in [-alpha, alpha] for about
    95 % of normal weights. The levels stay where they are whatever ``alpha`` is: a small one keeps
    the weights to the levels around zero. The gradient passes through mean and sigma.

    :param w: tensor of any shape.
    :param bits: bit-width from 1 to 8, or 32 to return ``w``.
    :param alpha: bound of the space that most weights are brought into, positive; ``None``: no
        space (``v = w``), the supplement's "w/o space reg.".
    :param clamp: ``True``: take the nearest of ``2**bits`` equidistant levels from -1 to 1; what
        lies outside is clipped, ``2 / alpha`` deviations from the mean. ``False``, as released:
        ``round(n * v) / n`` with ``n = 2**bits - 1``, as many levels as the weights reach (about 61
        for 4 bits at ``alpha = 1``), and ``sign(w) * mean|w|`` for one bit.
    :param channel: dimension whose slices are standardized one by one; ``None``: the tensor.
    :returns: shape of ``w``.
    :raises UserError: for other bits, or an ``alpha`` that is not positive.

    >>> prox_weight(torch.tensor([-2.0, -0.1, 0.1, 2.0]), 2)
    tensor([-0.3333, -0.3333,  0.3333,  0.3333])
    """
    check_alpha(alpha)
    if check_bits(bits) == FULL_PRECISION or w.numel() == 0:
        return w
    if bits == 1 and not clamp:
        return binary(w, channel=channel)
    result: Tensor = _Prox.apply(w, bits, alpha, clamp, channel)
    return result


def check_alpha(alpha: float | None) -> float | None:
    """:raises UserError: unless ``alpha`` is positive or ``None``."""
    if alpha is not None and not 0 < alpha < float("inf"):
        raise UserError(
            f"alpha is {alpha}: the standard space [-alpha, alpha] needs a positive one, or None "
            "for no such space"
        )
    return alpha


def prox_codes(w: Tensor, bits: int, *, alpha: float | None, channel: int | None = None) -> Tensor:
    """Return the codes of weights, as floats."""
    z, _, scale = _standard(w, alpha, channel)
    return _codes(z, scale, bits)


def _standard(
    w: Tensor, alpha: float | None, channel: int | None
) -> tuple[Tensor, Tensor | None, float]:
    """Return ``z``, the inverse of its divisor, and the factor that brings it into the space."""
    if alpha is None:
        return w, None, 1.0
    return *standardize(w, channel), alpha / 2


def _codes(z: Tensor, scale: float, bits: int) -> Tensor:
    return midrise_codes_((z * scale).clamp_(-1.0, 1.0).add_(1.0).mul_(0.5), bits)


class _Prox(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, w: Tensor, bits: int, alpha: float | None, clamp: bool, channel: int | None
    ) -> Tensor:
        z, inverse, scale = _standard(w, alpha, channel)
        ctx.save_for_backward(z, inverse)
        ctx.settings = scale, clamp, channel
        if clamp:
            return midrise_values_(_codes(z, scale, bits), bits, 1.0)
        n = 2**bits - 1
        return round_(z.mul(n * scale)).div_(n)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        z, inverse = ctx.saved_tensors
        scale, clamp, channel = ctx.settings
        of_z = gradient * scale
        if clamp:
            of_z *= (z * scale).abs() <= 1
        if inverse is not None:
            of_z = standardize_backward(of_z, z, inverse, channel)
        return of_z, None, None, None, None

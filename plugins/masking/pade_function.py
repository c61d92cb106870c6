"""The Padé activation unit as a function: a rational function without poles.

Molina, Schramowski, Kersting, "Padé Activation Units", ICLR 2020, in its safe form with one
absolute value per term of the denominator.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl_strategies.errors import UserError

#: Coefficients that fit ReLU on [-3, 3] (degrees 5 and 4). Beyond it the unit bends away from
#: ReLU: its slope tends to 0.72 on both sides.
RELU_NUMERATOR = (
    0.029963801610813613,
    0.6168978366891341,
    2.37534759733888,
    3.0659900472408443,
    1.5246831881677423,
    0.2528070864040542,
)
RELU_DENOMINATOR = (
    -1.191550121923625,
    4.4080487697236626,
    0.9110357113686055,
    0.34884977946384615,
)


def pade_activation(x: Tensor, numerator: Tensor, denominator: Tensor) -> Tensor:
    """Compute ``(a_0 + a_1 x + ... + a_m x^m) / (1 + |b_1 x| + ... + |b_n x^n|)``, elementwise.

    The denominator is at least 1, so there is no pole. Half-precision inputs are computed in
    float32, whose range the powers would otherwise leave. Gradients of any order are defined;
    that of ``|b_j x^j|`` at zero is taken as zero.

    :param x: Any shape.
    :param numerator: ``a_0 ... a_m``, ``(m + 1,)``.
    :param denominator: ``b_1 ... b_n``, ``(n,)``.
    :returns: shape and type of ``x``.
    :raises UserError: if a coefficient tensor is not a vector, or the numerator is empty.
    """
    if numerator.ndim != 1 or denominator.ndim != 1 or not len(numerator):
        raise UserError(
            f"coefficients of shapes {tuple(numerator.shape)} and {tuple(denominator.shape)}: "
            "give vectors a_0 ... a_m and b_1 ... b_n"
        )
    if x.dtype in (torch.float16, torch.bfloat16):
        with torch.autocast(x.device.type, enabled=False):
            return _pade(x.float(), numerator.float(), denominator.float()).to(x.dtype)
    return _pade(x, numerator, denominator)


def _pade(x: Tensor, numerator: Tensor, denominator: Tensor) -> Tensor:
    result: Tensor = _Pade.apply(x, numerator, denominator)
    return result


def _horner(x: Tensor, coefficients: Tensor) -> Tensor:
    """Compute ``c_0 + c_1 x + ... + c_k x^k``."""
    result = coefficients[-1].expand_as(x)
    for coefficient in coefficients.flip(0)[1:]:
        result = torch.addcmul(coefficient, result, x)
    return result


def _denominator(magnitude: Tensor, b: Tensor) -> Tensor:
    return _horner(magnitude, torch.cat([b.new_ones(1), b.abs()]))


class _Pade(torch.autograd.Function):
    """Keeps ``x`` alone for the backward pass, instead of every intermediate of the polynomials.

    The backward pass is made of differentiable operations, so that it can be differentiated.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(x, a, b)
        return _horner(x, a) / _denominator(x.abs(), b)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, a, b = ctx.saved_tensors
        magnitude = x.abs()
        bottom = _denominator(magnitude, b)
        quotient = _horner(x, a) / bottom
        scaled = gradient / bottom
        dx = da = db = None
        if ctx.needs_input_grad[0]:
            slope = _slope(x, a)
            if len(b):
                slope = slope - quotient * x.sign() * _horner(magnitude, _derivative(b.abs(), 1))
            dx = scaled * slope
        if ctx.needs_input_grad[1]:
            da = _moments(scaled, x, len(a), first=0)
        if ctx.needs_input_grad[2]:
            db = -b.sign() * _moments(scaled * quotient, magnitude, len(b), first=1)
        return dx, da, db


def _slope(x: Tensor, a: Tensor) -> Tensor:
    return _horner(x, _derivative(a[1:], 1)) if len(a) > 1 else torch.zeros_like(x)


def _derivative(coefficients: Tensor, first: int) -> Tensor:
    """Coefficients of the derivative, where ``coefficients[0]`` belongs to power ``first``."""
    powers = torch.arange(first, first + len(coefficients), device=coefficients.device)
    return coefficients * powers.to(coefficients.dtype)


def _moments(weight: Tensor, x: Tensor, count: int, *, first: int) -> Tensor:
    """Compute ``sum(weight * x^k)`` for ``count`` powers from ``first`` on."""
    if not count:
        return x.new_zeros(0)
    term = weight * x if first else weight
    sums = [term.sum()]
    for _ in range(count - 1):
        term = term * x
        sums.append(term.sum())
    return torch.stack(sums)

"""Equidistant levels of activations, as codes of one byte."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import singledispatch

import torch
from torch import Tensor

from cl_strategies.plugins.quantization.functional.channel_statistics import positive
from cl_strategies.plugins.quantization.functional.learned_step import code_range
from cl_strategies.plugins.quantization.functional.uniform import affine_grid
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer
from cl_strategies.plugins.quantization.quantizers.dorefa import DoReFaActivation
from cl_strategies.plugins.quantization.quantizers.llsq import LLSQActivation, rounded
from cl_strategies.plugins.quantization.quantizers.lsq import LSQActivation
from cl_strategies.plugins.quantization.quantizers.lsq_plus import LSQPlusActivation
from cl_strategies.plugins.quantization.quantizers.pact import PACTActivation
from cl_strategies.plugins.quantization.quantizers.uniform import UniformActivation

#: Largest code of a byte.
BYTE = 255


@dataclass(frozen=True)
class Grid:
    """The values ``scale * (code - zero) + shift`` of the codes ``first ... last``.

    :param scale: distance of two levels.
    :param zero: zero point, 0 to 255.
    :param last: largest code, at most 255.
    :param shift: value of the code ``zero``; not zero where no level is zero.
    :param first: smallest code.
    """

    scale: float
    zero: int
    last: int = BYTE
    shift: float = 0.0
    first: int = 0

    @property
    def low(self) -> float:
        """The smallest level."""
        return self.scale * (self.first - self.zero) + self.shift

    @property
    def high(self) -> float:
        """The largest level."""
        return self.scale * (self.last - self.zero) + self.shift

    def code(self, value: float) -> int:
        """Return the code nearest to ``value``, which may be infinite."""
        bounded = min(max(value, self.low), self.high)
        return min(max(round((bounded - self.shift) / self.scale) + self.zero, self.first), BYTE)

    def rounded(self, x: Tensor) -> Tensor:
        """Return the levels nearest to ``x``, of any shape."""
        codes = ((x - self.shift) / self.scale).round_().add_(self.zero)
        return codes.clamp_(self.first, self.last).sub_(self.zero).mul_(self.scale).add_(self.shift)

    def at_the_top(self) -> Grid:
        """Return the same levels with the codes up to 255, where the type clips from above."""
        up = BYTE - self.last
        return replace(self, zero=self.zero + up, last=BYTE, first=self.first + up)


def between(low: float, high: float) -> Grid:
    """Return a grid of 256 levels that contains zero and reaches from ``low`` to ``high``."""
    low, high = min(low, 0.0), max(high, 0.0)
    zero = round(-low / (high - low) * BYTE) if high > low else 0
    ends = [-low / zero if zero else 0.0, high / (BYTE - zero) if zero < BYTE else 0.0]
    return Grid(scale=_float32(max(ends)) or 1.0, zero=zero)


def _float32(value: float | Tensor) -> float:
    return float(torch.as_tensor(value, dtype=torch.float32))


@singledispatch
def grid_of(quantizer: ActivationQuantizer) -> Grid | None:
    """Return the levels of ``quantizer``, which is ready; ``None`` if they are not equidistant."""
    return None


@grid_of.register
def _uniform(quantizer: UniformActivation) -> Grid:
    symmetric = quantizer.symmetric and quantizer.bits > 1
    low, high = quantizer.low.float(), quantizer.high.float()
    scale, zero, first, last = affine_grid(low, high, quantizer.bits, symmetric=symmetric)
    start = (first - zero) * scale
    if quantizer.bits == 1:  # the two ends, of which neither need be zero
        return Grid(float(scale), 0, 1, float(start))
    return Grid(float(scale), int(zero) - first, last - first)


@grid_of.register
def _dorefa(quantizer: DoReFaActivation) -> Grid:
    return _bounded(quantizer.bits, 1.0, quantizer.is_signed)


@grid_of.register
def _pact(quantizer: PACTActivation) -> Grid:
    return _bounded(quantizer.bits, float(positive(quantizer.alpha.detach())), quantizer.is_signed)


def _bounded(bits: int, bound: float, signed: bool) -> Grid:
    last = 2**bits - 1
    if not signed:
        return Grid(_float32(bound / last), 0, last)
    half = bound / last
    if bits == 1:  # zero becomes the lower level, as the half of a step is rounded to even
        return Grid(_float32(2 * half), 0, 1, -half)
    return Grid(_float32(2 * half), (last + 1) // 2, last, half)


@grid_of.register
def _lsq(quantizer: LSQActivation) -> Grid:
    return _stepped(quantizer, quantizer.step.float())


@grid_of.register
def _llsq(quantizer: LLSQActivation) -> Grid:
    return _stepped(quantizer, rounded(quantizer.step, torch.float32))


@grid_of.register
def _lsq_plus(quantizer: LSQPlusActivation) -> Grid:
    if not quantizer.has_offset:
        return _stepped(quantizer, quantizer.step.float())
    size = float(positive(quantizer.step.detach().float()))
    return Grid(size, quantizer.zero_point(), 2**quantizer.bits - 1)


def _stepped(quantizer: LSQActivation, step: Tensor) -> Grid:
    size = float(positive(step.detach()))
    if quantizer.is_signed and quantizer.bits == 1:
        return Grid(2 * size, 1, 1, size)
    first, last = code_range(quantizer.bits, signed=quantizer.is_signed)
    return Grid(size, -first, last - first)


def same(one: Grid | None, other: Grid | None) -> bool:
    """Whether two grids have the same levels, up to rounding in float32."""
    if one is None or other is None or one.last - one.first != other.last - other.first:
        return False
    return all(
        math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6 * one.scale)
        for a, b in ((one.low, other.low), (one.high, other.high))
    )

"""Uniform min-max quantization as modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.quantization.functional.uniform import (
    affine_codes,
    affine_grid,
    affine_values_,
    binary_scale,
    minmax,
    uniform_minmax,
    uniform_range,
)
from cl_strategies.plugins.quantization.quantizers.base import (
    ActivationQuantizer,
    Encoded,
    WeightQuantizer,
)
from cl_strategies.plugins.quantization.quantizers.scheme import Scheme


class UniformWeight(WeightQuantizer):
    """:func:`~cl_strategies.plugins.quantization.functional.uniform_minmax` of weights; one bit is
    ``sign(w) * mean|w|``.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param symmetric: whether the grid lies around zero, with ``2**bits - 1`` levels.
    :param per_channel: whether each output channel has a range of its own.
    """

    kind = "uniform weight"

    def __init__(self, bits: int, *, symmetric: bool, per_channel: bool) -> None:
        super().__init__(bits, symmetric=symmetric, per_channel=per_channel)
        self.symmetric = symmetric
        self.channel = 0 if per_channel else None

    def quantize(self, x: Tensor) -> Tensor:
        symmetric = self.symmetric or self.bits == 1
        return uniform_minmax(x, self.bits, symmetric=symmetric, channel=self.channel)

    def codes(self, w: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if self.bits == 1:
            return (w >= 0).to(w.dtype), {"scale": binary_scale(w, channel=self.channel)}
        low, high = minmax(w, channel=self.channel)
        scale, zero, first, last = affine_grid(low, high, self.bits, symmetric=self.symmetric)
        codes = affine_codes(w, scale, zero, first, last).sub_(first)
        return codes, {"scale": scale, "zero_point": zero - first}

    def decode(self, encoded: Encoded) -> Tensor:
        scale = encoded.constants["scale"]
        codes = encoded.codes.to(scale.dtype)
        if "zero_point" not in encoded.constants:
            return codes.mul_(2).sub_(1).mul_(scale)
        return affine_values_(codes, scale, encoded.constants["zero_point"])


class UniformActivation(ActivationQuantizer):
    """A uniform grid over a moving average of the range of training batches.

    The average starts at the range of the first batch, so it needs no correction; the range
    contains zero, and does not move in evaluation.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param symmetric: whether the grid lies around zero, with ``2**bits - 1`` levels.
    :param momentum: weight of a new batch in the moving average.
    """

    kind = "uniform activation"
    lazy = True
    low: Tensor
    high: Tensor

    def __init__(self, bits: int, *, symmetric: bool, momentum: float = 0.1) -> None:
        super().__init__(bits, symmetric=symmetric)
        self.symmetric = symmetric
        self.momentum = momentum
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def initialize(self, x: Tensor) -> None:
        self._follow(x, 1.0)

    def _follow(self, x: Tensor, weight: float) -> None:
        low, high = torch.aminmax(x)
        self.low.lerp_(low.to(self.low).clamp_max_(0), weight)
        self.high.lerp_(high.to(self.high).clamp_min_(0), weight)

    def apply_to(self, x: Tensor) -> Tensor:
        low, high = self.low, self.high
        if self.training:
            self._follow(x.detach(), self.momentum)
            # Another batch of the same step, as in domain adaptation, moves the range before the
            # gradient of this one is taken.
            low, high = low.clone(), high.clone()
        low, high = low.to(x.dtype), high.to(x.dtype)
        symmetric = self.symmetric and self.bits > 1
        return uniform_range(x, low, high, self.bits, symmetric=symmetric)


class Uniform(Scheme):
    """Min-max ranges: of each output channel for weights, a moving average for activations."""

    name = "uniform"

    def __init__(
        self,
        *,
        symmetric: Annotated[
            bool, Doc("Use grids around zero, of ``2**bits - 1`` levels.")
        ] = False,
        per_channel: Annotated[
            bool, Doc("Take a range for each output channel of a weight instead of one for all.")
        ] = True,
    ) -> None:
        self.symmetric = symmetric
        self.per_channel = per_channel

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> UniformWeight:
        return UniformWeight(bits, symmetric=self.symmetric, per_channel=self.per_channel)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> UniformActivation:
        return UniformActivation(bits, symmetric=self.symmetric)

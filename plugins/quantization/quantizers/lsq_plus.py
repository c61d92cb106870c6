"""LSQ+ as modules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cl_strategies.plugins.quantization.functional.channel_statistics import (
    group_dims,
    positive,
    reduce,
)
from cl_strategies.plugins.quantization.functional.learned_offset import (
    lsq_plus,
    range_of_least_error,
    zero_point,
)
from cl_strategies.plugins.quantization.quantizers.lsq import LSQ, LSQActivation, LSQWeight

_SAMPLE = 2**15
"""Values of a first batch that its range is searched on."""


class LSQPlusWeight(LSQWeight):
    """LSQ's weights, whose step starts from three deviations around their mean."""

    kind = "lsq-plus weight"

    def initialize(self, w: Tensor) -> None:
        """Set ``max|mean +- 3 sigma| / 2**(bits - 1)`` (section 3.2); for one bit, whose levels are
        two, ``mean|w|``."""
        dims = group_dims(w, self.channel)
        mean = reduce(w, dims, "mean")
        deviation = reduce((w - mean).square(), dims, "mean").sqrt()
        step = (mean.abs() + 3 * deviation) / 2 ** (self.bits - 1)
        if self.bits == 1:
            step = reduce(w.abs(), dims, "mean")
        self.step.copy_(torch.where(step > 0, step, 1.0).reshape(self.step.shape))


class LSQPlusActivation(LSQActivation):
    """LSQ's activations, with a learned offset where they have both signs.

    It is :func:`~cl_strategies.plugins.quantization.functional.lsq_plus` there, from two bits on,
    and :func:`~cl_strategies.plugins.quantization.functional.lsq` from zero up otherwise.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param signed: see :data:`~cl_strategies.plugins.quantization.quantizers.scheme.Signed`.
    """

    kind = "lsq-plus activation"

    def __init__(self, bits: int, *, signed: bool | None) -> None:
        super().__init__(bits, signed=signed)
        self.offset = nn.Parameter(torch.zeros(()))

    @property
    def has_offset(self) -> bool:
        """Whether the grid has an offset; else it is LSQ's."""
        return self.is_signed and self.bits > 1

    def initialize(self, x: Tensor) -> None:
        super().initialize(x)
        if not (bool(self.signed) and self.bits > 1):
            return
        stride = (x.numel() // _SAMPLE) | 1  # odd, so that it meets all places of an image
        step, offset = range_of_least_error(x.flatten()[::stride], self.bits)
        self.step.copy_(step)
        self.offset.copy_(offset)

    def apply_to(self, x: Tensor) -> Tensor:
        if not self.has_offset:
            return super().apply_to(x)
        last = 2**self.bits - 1
        self.keep_alive(self.step, x, last=last)
        if self.training:  # zero stays on the grid
            self.offset.data.clamp_(-last * positive(self.step.data), torch.zeros_like(self.offset))
        return lsq_plus(x, self.step.to(x.dtype), self.offset.to(x.dtype), self.bits)

    def zero_point(self) -> int:
        """Return the code of zero where there is an offset: levels are ``(code - zero_point) *
        |step|`` for the codes ``0 ... 2**bits - 1``."""
        return int(zero_point(positive(self.step), self.offset, self.bits))


class LSQPlus(LSQ):
    """LSQ with a better start, and with a learned offset where activations have both signs."""

    name = "lsq-plus"

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> LSQPlusWeight:
        return LSQPlusWeight(bits, shape=shape, per_channel=self.per_channel)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> LSQPlusActivation:
        return LSQPlusActivation(bits, signed=self.signed)

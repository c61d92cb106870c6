"""LLSQ as modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cl_strategies.plugins.quantization.functional.learned_step import llsq, llsq_round_step
from cl_strategies.plugins.quantization.quantizers.lsq import LSQActivation, LSQWeight, PerChannel
from cl_strategies.plugins.quantization.quantizers.scheme import SignedScheme


def rounded(step: Tensor, dtype: torch.dtype) -> Tensor:
    """Round the magnitude of the step to 16 bits; its gradient is that of the magnitude itself."""
    size = torch.where(step < 0, -step, step)
    return (llsq_round_step(step) + (size - size.detach())).to(dtype)


class LLSQWeight(LSQWeight):
    """:func:`~cl_strategies.plugins.quantization.functional.llsq` with steps from the weights."""

    kind = "llsq weight"
    takes_momentum = False

    def used_step(self, dtype: torch.dtype) -> Tensor:
        return rounded(self.step, dtype)

    def on_grid(self, x: Tensor) -> Tensor:
        return llsq(x, self.used_step(x.dtype), self.bits, masked=False)


class LLSQActivation(LSQActivation):
    """:func:`~cl_strategies.plugins.quantization.functional.llsq` with a step from the first
    batch."""

    kind = "llsq activation"
    takes_momentum = False

    def on_grid(self, x: Tensor) -> Tensor:
        return llsq(x, rounded(self.step, x.dtype), self.bits, signed=self.is_signed)


class LLSQ(SignedScheme):
    """Uniform grids whose steps follow a simulated gradient, in 16 bits with one exponent."""

    name = "llsq"

    def __init__(self, *, per_channel: PerChannel = True, **options: Any) -> None:
        super().__init__(**options)
        self.per_channel = per_channel

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> LLSQWeight:
        return LLSQWeight(bits, shape=shape, per_channel=self.per_channel)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> LLSQActivation:
        return LLSQActivation(bits, signed=self.signed)

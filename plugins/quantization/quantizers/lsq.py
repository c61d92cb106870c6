"""LSQ as modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.quantization.functional.channel_statistics import (
    group_dims,
    positive,
    reduce,
)
from cl_strategies.plugins.quantization.functional.learned_step import code_range, lsq, lsq_codes
from cl_strategies.plugins.quantization.quantizers.base import (
    Encoded,
    SignedActivation,
    WeightQuantizer,
)
from cl_strategies.plugins.quantization.quantizers.scheme import SignedScheme

PerChannel = Annotated[
    bool, Doc("Learn a step for each output channel of a weight instead of one for the layer.")
]


def first_step(x: Tensor, bits: int, *, signed: bool, channel: int | None = None) -> Tensor:
    """Return ``2 mean|x| / sqrt(Qp)`` (section 2.1), or 1 where that is 0; dimensions are kept."""
    size = reduce(x.abs(), group_dims(x, channel), "mean")
    step = 2 * size / code_range(bits, signed=signed)[1] ** 0.5
    return torch.where(step > 0, step, 1.0)


class LSQWeight(WeightQuantizer):
    """:func:`~cl_strategies.plugins.quantization.functional.lsq` with a step from the weights.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param shape: shape of the weights.
    :param per_channel: whether to learn a step for each output channel.
    """

    kind = "lsq weight"
    lazy = True

    def __init__(self, bits: int, *, shape: Sequence[int], per_channel: bool) -> None:
        super().__init__(bits, per_channel=per_channel)
        self.channel = 0 if per_channel else None
        size = [shape[0], *[1] * (len(shape) - 1)] if per_channel else []
        self.step = nn.Parameter(torch.ones(size))

    def initialize(self, w: Tensor) -> None:
        step = first_step(w, self.bits, signed=True, channel=self.channel)
        self.step.copy_(step.reshape(self.step.shape))

    def used_step(self, dtype: torch.dtype) -> Tensor:
        """Return the step of the grid."""
        return self.step.to(dtype)

    def quantize(self, x: Tensor) -> Tensor:
        self.keep_alive(self.step, x, last=code_range(self.bits, signed=True)[1])
        return self.on_grid(x)

    def on_grid(self, x: Tensor) -> Tensor:
        """Quantize ``x`` with the step as it is."""
        return lsq(x, self.used_step(x.dtype), self.bits)

    def codes(self, w: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        step = positive(self.used_step(w.dtype).detach())
        codes = lsq_codes(w, step, self.bits, signed=True)
        if self.bits == 1:
            return codes.add_(1).div_(2), {"step": step}
        return codes.sub_(code_range(self.bits, signed=True)[0]), {"step": step}

    def decode(self, encoded: Encoded) -> Tensor:
        step = encoded.constants["step"]
        codes = encoded.codes.to(step.dtype)
        if self.bits == 1:
            return codes.mul_(2).sub_(1).mul_(step)
        return codes.add_(code_range(self.bits, signed=True)[0]).mul_(step)


class LSQActivation(SignedActivation):
    """:func:`~cl_strategies.plugins.quantization.functional.lsq` with a step from the first batch.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param signed: see :data:`~cl_strategies.plugins.quantization.quantizers.scheme.Signed`.
    """

    kind = "lsq activation"

    def __init__(self, bits: int, *, signed: bool | None) -> None:
        super().__init__(bits, signed=signed)
        self.step = nn.Parameter(torch.ones(()))

    def initialize(self, x: Tensor) -> None:
        super().initialize(x)
        step = first_step(x, self.bits, signed=bool(self.signed))
        self.step.copy_(step.reshape(()))

    def apply_to(self, x: Tensor) -> Tensor:
        self.keep_alive(self.step, x, last=code_range(self.bits, signed=self.is_signed)[1])
        return self.on_grid(x)

    def on_grid(self, x: Tensor) -> Tensor:
        """Quantize ``x`` with the step as it is."""
        return lsq(x, self.step.to(x.dtype), self.bits, signed=self.is_signed)


class LSQ(SignedScheme):
    """Uniform grids whose step is learned by the loss."""

    name = "lsq"

    def __init__(self, *, per_channel: PerChannel = False, **options: Any) -> None:
        super().__init__(**options)
        self.per_channel = per_channel

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> LSQWeight:
        return LSQWeight(bits, shape=shape, per_channel=self.per_channel)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> LSQActivation:
        return LSQActivation(bits, signed=self.signed)

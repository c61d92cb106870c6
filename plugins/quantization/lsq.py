"""LSQ as modules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cl_strategies.plugins.quantization.groups import group_dims, positive, reduce
from cl_strategies.plugins.quantization.lsq_functions import code_range, lsq, lsq_codes
from cl_strategies.plugins.quantization.quantizer import Encoded, SignedActivation, WeightQuantizer
from cl_strategies.plugins.quantization.scheme import Scheme


def first_step(x: Tensor, bits: int, *, signed: bool, channel: int | None = None) -> Tensor:
    """``2 mean|x| / sqrt(Qp)`` (section 2.1), or 1 where that is zero; dimensions are kept."""
    size = reduce(x.abs(), group_dims(x, channel), "mean")
    step = 2 * size / code_range(bits, signed=signed)[1] ** 0.5
    return torch.where(step > 0, step, 1.0)


class LSQWeight(WeightQuantizer):
    """:func:`~cl_strategies.plugins.quantization.functional.lsq` with a step from the weights.

    :param bits: 1 to 8, or 32.
    :param shape: of the weights.
    :param per_channel: a step for each output channel.
    """

    kind = "lsq weight"
    lazy = True

    def __init__(self, bits: int, *, shape: Sequence[int] = (), per_channel: bool = False) -> None:
        super().__init__(bits, per_channel=per_channel)
        self.channel = 0 if per_channel else None
        size = [shape[0], *[1] * (len(shape) - 1)] if per_channel else []
        self.step = nn.Parameter(torch.ones(size))

    def initialise(self, w: Tensor) -> None:
        step = first_step(w, self.bits, signed=True, channel=self.channel)
        self.step.copy_(step.reshape(self.step.shape))

    def used_step(self, dtype: torch.dtype) -> Tensor:
        """The step of the grid."""
        return self.step.to(dtype)

    def quantize(self, x: Tensor) -> Tensor:
        self.keep_alive(self.step, x, last=code_range(self.bits, signed=True)[1])
        return self.on_grid(x)

    def on_grid(self, x: Tensor) -> Tensor:
        """``x`` quantised with the step as it is."""
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

    :param bits: 1 to 8, or 32.
    :param signed: ``None``: as the first training batch.
    """

    kind = "lsq activation"

    def __init__(self, bits: int, *, signed: bool | None = None) -> None:
        super().__init__(bits, signed=signed)
        self.step = nn.Parameter(torch.ones(()))

    def initialise(self, x: Tensor) -> None:
        super().initialise(x)
        step = first_step(x, self.bits, signed=bool(self.signed))
        self.step.copy_(step.reshape(()))

    def apply_to(self, x: Tensor) -> Tensor:
        self.keep_alive(self.step, x, last=code_range(self.bits, signed=self.is_signed)[1])
        return self.on_grid(x)

    def on_grid(self, x: Tensor) -> Tensor:
        """``x`` quantised with the step as it is."""
        return lsq(x, self.step.to(x.dtype), self.bits, signed=self.is_signed)


class LSQ(Scheme):
    """Uniform grids whose step is learned by the loss.

    :param per_channel: a step for each output channel of a weight; the paper has one per layer.
    :param signed: whether activations have both signs; ``None``: as the first training batch.
    """

    name = "lsq"

    def __init__(self, *, per_channel: bool = False, signed: bool | None = None) -> None:
        self.per_channel = per_channel
        self.signed = signed

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> LSQWeight:
        return LSQWeight(bits, shape=shape, per_channel=self.per_channel)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> LSQActivation:
        return LSQActivation(bits, signed=self.signed)

"""PACT as a module; its weights are DoReFa's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cl_strategies.plugins.quantization.dorefa import DoReFaWeight
from cl_strategies.plugins.quantization.dorefa_functions import pact
from cl_strategies.plugins.quantization.quantizer import SignedActivation
from cl_strategies.plugins.quantization.scheme import Scheme


class PACTActivation(SignedActivation):
    """:func:`~cl_strategies.plugins.quantization.functional.pact` with a learned clipping value.

    :param bits: 1 to 8, or 32.
    :param alpha: where the clipping value starts; ``None``: three deviations above the mean
        magnitude of the first training batch.
    :param signed: ``None``: as the first training batch.
    """

    kind = "pact activation"
    decay = 2e-4
    takes_momentum = False

    def __init__(
        self, bits: int, *, alpha: float | None = None, signed: bool | None = None
    ) -> None:
        super().__init__(bits, signed=signed)
        self.start = alpha
        self.alpha = nn.Parameter(torch.tensor(1.0 if alpha is None else float(alpha)))

    def initialise(self, x: Tensor) -> None:
        super().initialise(x)
        self.alpha.copy_(spread(x) if self.start is None else torch.tensor(float(self.start)))

    def apply_to(self, x: Tensor) -> Tensor:
        self.keep_alive(self.alpha, x, first=1 / (2**self.bits - 1), last=1.0)
        return pact(x, self.alpha.to(x.dtype), self.bits, signed=self.is_signed)


def spread(x: Tensor) -> Tensor:
    """``mean|x| + 3 std(x)``, or 1 where that is zero: a range for a first batch."""
    size = x.abs().mean() + 3 * x.std(correction=0)
    return torch.where(size > 0, size, 1.0)


class PACT(Scheme):
    """DoReFa's weights, activations clipped at a learned value.

    :param alpha: where clipping values start (the paper: about 10); ``None``: from the first batch.
    :param signed: whether activations have both signs; ``None``: as the first training batch.
    """

    name = "pact"

    def __init__(self, *, alpha: float | None = None, signed: bool | None = None) -> None:
        self.alpha = alpha
        self.signed = signed

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> DoReFaWeight:
        return DoReFaWeight(bits, rescale=rescale)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> PACTActivation:
        return PACTActivation(bits, alpha=self.alpha, signed=self.signed)

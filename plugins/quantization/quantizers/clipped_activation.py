"""Activations clipped at a learned value, as in PACT and APoT."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cl_strategies.plugins.quantization.quantizers.base import SignedActivation


class ClippedActivation(SignedActivation):
    """An activation quantizer that learns where to clip.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param alpha: start of the clipping value; ``None``: three deviations above the mean magnitude
        of the first training batch.
    :param signed: see :data:`~cl_strategies.plugins.quantization.quantizers.scheme.Signed`.
    """

    def __init__(self, bits: int, *, alpha: float | None, signed: bool | None) -> None:
        super().__init__(bits, signed=signed)
        self.start = alpha
        self.alpha = nn.Parameter(torch.tensor(1.0 if alpha is None else float(alpha)))

    def initialize(self, x: Tensor) -> None:
        super().initialize(x)
        self.alpha.copy_(spread(x) if self.start is None else torch.tensor(float(self.start)))


def spread(x: Tensor) -> Tensor:
    """Return ``mean|x| + 3 std(x)``, or 1 where that is zero: a range for a first batch."""
    size = x.abs().mean() + 3 * x.std(correction=0)
    return torch.where(size > 0, size, 1.0)

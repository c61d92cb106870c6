"""DoReFa as modules."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cl_strategies.plugins.quantization.dorefa_functions import (
    dorefa_activation,
    dorefa_codes,
    dorefa_weight,
)
from cl_strategies.plugins.quantization.midrise import MidriseWeight
from cl_strategies.plugins.quantization.quantizer import SignedActivation
from cl_strategies.plugins.quantization.scheme import Scheme
from cl_strategies.plugins.quantization.uniform_functions import binary_scale


class DoReFaWeight(MidriseWeight):
    """:func:`~cl_strategies.plugins.quantization.functional.dorefa_weight`.

    :param bits: 1 to 8, or 32.
    :param rescale: multiply by ``max|tanh(w)|``, for layers without a normalisation.
    """

    kind = "dorefa weight"

    def align(self, w: Tensor) -> Tensor:
        return dorefa_weight(w, self.bits)

    def quantize(self, x: Tensor) -> Tensor:  # one bit has its magnitude already
        return self.align(x) if self.bits == 1 else super().quantize(x)

    def magnitude(self, w: Tensor) -> Tensor:
        return w.abs().amax().tanh()

    def unit_codes(self, w: Tensor) -> Tensor:
        return dorefa_codes(w, self.bits)[0]

    def codes(self, w: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if self.bits == 1:
            return (w >= 0).to(w.dtype), {"scale": binary_scale(w).reshape(())}
        return super().codes(w)


class DoReFaActivation(SignedActivation):
    """:func:`~cl_strategies.plugins.quantization.functional.dorefa_activation`.

    :param bits: 1 to 8, or 32.
    :param signed: ``True``: [-1, 1]; ``False``: [0, 1], as in the paper; ``None``: as the first
        training batch.
    """

    kind = "dorefa activation"

    def apply_to(self, x: Tensor) -> Tensor:
        return dorefa_activation(x, self.bits, signed=self.is_signed)


class DoReFa(Scheme):
    """Weights through tanh to [-1, 1], activations clipped to [0, 1]; nothing is learned.

    :param signed: whether activations have both signs; ``None``: as the first training batch.
    """

    name = "dorefa"

    def __init__(self, *, signed: bool | None = None) -> None:
        self.signed = signed

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> DoReFaWeight:
        return DoReFaWeight(bits, rescale=rescale)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> DoReFaActivation:
        return DoReFaActivation(bits, signed=self.signed)

"""DoReFa as modules."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cl_strategies.plugins.quantization.functional.dorefa import (
    dorefa_activation,
    dorefa_codes,
    dorefa_weight,
)
from cl_strategies.plugins.quantization.functional.uniform import binary_scale
from cl_strategies.plugins.quantization.quantizers.base import SignedActivation
from cl_strategies.plugins.quantization.quantizers.midrise import MidriseWeight
from cl_strategies.plugins.quantization.quantizers.scheme import SignedScheme


class DoReFaWeight(MidriseWeight):
    """:func:`~cl_strategies.plugins.quantization.functional.dorefa_weight`.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param rescale: whether to multiply by ``max|tanh(w)|``, for layers without a normalization.
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

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param signed: ``True``: [-1, 1]; ``False``: [0, 1], as in the paper; ``None``: as in the first
        training batch.
    """

    kind = "dorefa activation"

    def apply_to(self, x: Tensor) -> Tensor:
        return dorefa_activation(x, self.bits, signed=self.is_signed)


class DoReFa(SignedScheme):
    """Weights through tanh to [-1, 1], activations clipped to [0, 1]; nothing is learned."""

    name = "dorefa"

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> DoReFaWeight:
        return DoReFaWeight(bits, rescale=rescale)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> DoReFaActivation:
        return DoReFaActivation(bits, signed=self.signed)

"""PACT as a module; its weights are DoReFa's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import Gt
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.quantization.functional.dorefa import pact
from cl_strategies.plugins.quantization.quantizers.clipped_activation import ClippedActivation
from cl_strategies.plugins.quantization.quantizers.dorefa import DoReFaWeight
from cl_strategies.plugins.quantization.quantizers.scheme import SignedScheme


class PACTActivation(ClippedActivation):
    """:func:`~cl_strategies.plugins.quantization.functional.pact` with a learned clipping value."""

    kind = "pact activation"
    decay = 2e-4
    takes_momentum = False

    def apply_to(self, x: Tensor) -> Tensor:
        self.keep_alive(self.alpha, x, first=1 / (2**self.bits - 1), last=1.0)
        return pact(x, self.alpha.to(x.dtype), self.bits, signed=self.is_signed)


class PACT(SignedScheme):
    """DoReFa's weights, activations clipped at a learned value."""

    name = "pact"

    def __init__(
        self,
        *,
        alpha: Annotated[
            float | None,
            Gt(0),
            Doc("Start of the clipping values (the paper: about 10); ``None``: the first batch."),
        ] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.alpha = alpha

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> DoReFaWeight:
        return DoReFaWeight(bits, rescale=rescale)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> PACTActivation:
        return PACTActivation(bits, alpha=self.alpha, signed=self.signed)

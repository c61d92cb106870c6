"""LifeQuant's ProxQ as modules; its activations are DoReFa's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Gt
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.quantization.functional.prox import prox_codes, prox_weight
from cl_strategies.plugins.quantization.functional.uniform import binary_scale
from cl_strategies.plugins.quantization.quantizers.dorefa import DoReFaActivation
from cl_strategies.plugins.quantization.quantizers.midrise import MidriseWeight
from cl_strategies.plugins.quantization.quantizers.scheme import SignedScheme
from cl_strategies.validation.hyperparameters import OptionGroup, build_part, documented
from cl_strategies.validation.parameter import Equation


@documented
@dataclass(frozen=True, kw_only=True)
class StandardSpace(OptionGroup):
    """The space in which the weights of every task are quantized (Sec. 5.2.1)."""

    alpha: Annotated[
        float,
        Gt(0),
        Doc(
            "Bound of the standard space, in units of the largest level: a small one keeps weights "
            "to the levels around zero, a large one clips more of them. The paper tries 0.25 to "
            "1.5."
        ),
        Equation("supplement, Table 2"),
    ] = 1.0
    standardize: Annotated[
        bool,
        Doc(
            "Bring the weights into the standard space; ``False``: quantize them as they are, "
            'whatever ``alpha`` is, "w/o space reg.".'
        ),
        Equation("supplement, Table 2"),
    ] = True
    clamp: Annotated[
        bool, Doc("Clip to the levels, to have ``2**bits``; ``False`` as released.")
    ] = True


class ProxQWeight(MidriseWeight):
    """:func:`~cl_strategies.plugins.quantization.functional.prox_weight`.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param space: the space to quantize in.
    :param rescale: whether to give the levels the deviation of the weights, for layers without a
        normalization.
    """

    kind = "lifequant weight"

    def __init__(self, bits: int, *, space: StandardSpace, rescale: bool) -> None:
        self.alpha = space.alpha if space.standardize else None
        super().__init__(bits, rescale=rescale, alpha=self.alpha, clamp=space.clamp)
        self.clamp = space.clamp

    @property
    def packable(self) -> bool:
        return self.clamp

    def align(self, w: Tensor) -> Tensor:
        return prox_weight(w, self.bits, alpha=self.alpha, clamp=self.clamp)

    def quantize(self, x: Tensor) -> Tensor:  # one released bit has its magnitude already
        return self.align(x) if self.bits == 1 and not self.clamp else super().quantize(x)

    def magnitude(self, w: Tensor) -> Tensor:
        if self.bits == 1:
            return binary_scale(w).reshape(())
        if self.alpha is None:  # the levels have it already
            return w.new_ones(())
        return w.std(correction=0) * (2 / self.alpha)

    def unit_codes(self, w: Tensor) -> Tensor:
        return prox_codes(w, self.bits, alpha=self.alpha)


class ProxQ(SignedScheme):
    """Weights in a standard space that is the same for every task, activations in [0, 1]."""

    name = "lifequant"
    parts = (StandardSpace,)

    def __init__(self, **options: Any) -> None:
        self.space: StandardSpace = build_part(StandardSpace, options)
        super().__init__(**options)

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> ProxQWeight:
        return ProxQWeight(bits, space=self.space, rescale=rescale)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> DoReFaActivation:
        return DoReFaActivation(bits, signed=self.signed)

"""LifeQuant's ProxQ as modules; its activations are DoReFa's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cl_strategies.plugins.quantization.dorefa import DoReFaActivation
from cl_strategies.plugins.quantization.groups import standardise
from cl_strategies.plugins.quantization.midrise import MidriseWeight
from cl_strategies.plugins.quantization.prox_functions import check_alpha, prox_codes, prox_weight
from cl_strategies.plugins.quantization.scheme import Scheme
from cl_strategies.plugins.quantization.uniform_functions import binary_scale


class ProxQWeight(MidriseWeight):
    """:func:`~cl_strategies.plugins.quantization.functional.prox_weight`.

    :param bits: 1 to 8, or 32.
    :param alpha: bound of the standard space, in units of the largest level.
    :param clamp: clip to the levels, to have ``2**bits``.
    :param rescale: give the levels the deviation of the weights, for layers without a
        normalisation.
    """

    kind = "lifequant weight"

    def __init__(
        self, bits: int, *, alpha: float = 1.0, clamp: bool = True, rescale: bool = False
    ) -> None:
        super().__init__(bits, rescale=rescale, alpha=check_alpha(alpha), clamp=clamp)
        self.alpha = alpha
        self.clamp = clamp

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
        return w.std(correction=0) * (2 / self.alpha)

    def unit_codes(self, w: Tensor) -> Tensor:
        return prox_codes(standardise(w)[0], self.bits, self.alpha)


class ProxQ(Scheme):
    """Weights in a standard space that is the same for every task, activations in [0, 1].

    :param alpha: bound of the standard space, in units of the largest level; the paper tries
        0.25 to 1.5.
    :param clamp: clip to the levels, to have ``2**bits``; ``False`` as released.
    :param signed: whether activations have both signs; ``None``: as the first training batch.
    """

    name = "lifequant"

    def __init__(
        self, *, alpha: float = 1.0, clamp: bool = True, signed: bool | None = None
    ) -> None:
        self.alpha = check_alpha(alpha)
        self.clamp = clamp
        self.signed = signed

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> ProxQWeight:
        return ProxQWeight(bits, alpha=self.alpha, clamp=self.clamp, rescale=rescale)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> DoReFaActivation:
        return DoReFaActivation(bits, signed=self.signed)

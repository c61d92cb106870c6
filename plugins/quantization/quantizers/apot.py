"""APoT as modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from annotated_types import Gt
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.quantization.functional.additive_powers import (
    apot,
    apot_codes,
    apot_levels,
    first_level,
)
from cl_strategies.plugins.quantization.functional.channel_statistics import positive, standardize
from cl_strategies.plugins.quantization.quantizers.base import Encoded, WeightQuantizer
from cl_strategies.plugins.quantization.quantizers.clipped_activation import ClippedActivation
from cl_strategies.plugins.quantization.quantizers.scheme import SignedScheme


class APoTWeight(WeightQuantizer):
    """:func:`~cl_strategies.plugins.quantization.functional.apot` of normalized weights.

    The weights' mean and deviation are constants of the gradient, as in the paper.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param alpha: start of the clipping value, in deviations; ``None``: where the squared error of
        the first weights is smallest.
    :param rescale: whether to multiply by the deviation, for layers without a normalization.
    """

    kind = "apot weight"
    lazy = True

    def __init__(self, bits: int, *, alpha: float | None, rescale: bool) -> None:
        super().__init__(bits, rescale=rescale)
        self.start = alpha
        self.rescale = rescale
        self.alpha = nn.Parameter(torch.tensor(3.0))

    def initialize(self, w: Tensor) -> None:
        z = standardize(w)[0]
        starts = [0.25 * step for step in range(2, 17)] if self.start is None else [self.start]
        errors = [float((apot(z, z.new_tensor(a), self.bits) - z).square().sum()) for a in starts]
        self.alpha.fill_(starts[errors.index(min(errors))])

    def quantize(self, x: Tensor) -> Tensor:
        z, inverse = standardize(x.detach())
        self.keep_alive(self.alpha, z, first=first_level(self.bits, signed=True), last=1.0)
        normal = _Normal.apply(x, z, inverse)
        levels = apot(normal, self.alpha.to(x.dtype), self.bits, masked=False)
        return levels * deviation(inverse) if self.rescale else levels

    def codes(self, w: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z, inverse = standardize(w)
        alpha = positive(self.alpha.detach().to(w.dtype))
        constants = {"alpha": alpha}
        if self.rescale:
            constants["scale"] = deviation(inverse)
        return apot_codes(z / alpha, self.bits, signed=True), constants

    def decode(self, encoded: Encoded) -> Tensor:
        alpha = encoded.constants["alpha"]
        levels = apot_levels(self.bits, signed=True).to(alpha)
        values = levels[encoded.codes.long()].mul_(alpha)
        return values * encoded.constants["scale"] if "scale" in encoded.constants else values


def deviation(inverse: Tensor) -> Tensor:
    """Return the deviation whose inverse :func:`standardize` gives; zero for a constant tensor."""
    return torch.where(inverse > 0, 1 / inverse, 0.0)


class _Normal(torch.autograd.Function):
    """Standardized weights, mean and deviation being constants."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, z: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return z.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        (inverse,) = ctx.saved_tensors
        return gradient * inverse, None, None


class APoTActivation(ClippedActivation):
    """:func:`~cl_strategies.plugins.quantization.functional.apot` with a learned clipping value."""

    kind = "apot activation"

    def apply_to(self, x: Tensor) -> Tensor:
        signed = self.is_signed
        self.keep_alive(self.alpha, x, first=first_level(self.bits, signed=signed), last=1.0)
        return apot(x, self.alpha.to(x.dtype), self.bits, signed=signed)


class APoT(SignedScheme):
    """Levels that are sums of powers of two, dense around zero."""

    name = "apot"

    def __init__(
        self,
        *,
        weight_alpha: Annotated[
            float | None,
            Gt(0),
            Doc(
                "Start of the weights' clipping values, in deviations (the paper: 3); ``None``: "
                "where the squared error is smallest."
            ),
        ] = None,
        activation_alpha: Annotated[
            float | None,
            Gt(0),
            Doc("Start of the activations' (the paper: 8); ``None``: from the first batch."),
        ] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.weight_alpha = weight_alpha
        self.activation_alpha = activation_alpha

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> APoTWeight:
        return APoTWeight(bits, alpha=self.weight_alpha, rescale=rescale)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> APoTActivation:
        return APoTActivation(bits, alpha=self.activation_alpha, signed=self.signed)

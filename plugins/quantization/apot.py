"""APoT as modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.plugins.quantization.apot_functions import (
    apot,
    apot_codes,
    apot_levels,
    first_level,
)
from cl_strategies.plugins.quantization.groups import positive, standardise
from cl_strategies.plugins.quantization.pact import spread
from cl_strategies.plugins.quantization.quantizer import Encoded, SignedActivation, WeightQuantizer
from cl_strategies.plugins.quantization.scheme import Scheme


class APoTWeight(WeightQuantizer):
    """:func:`~cl_strategies.plugins.quantization.functional.apot` of normalised weights.

    The weights' mean and deviation are constants of the gradient, as in the paper.

    :param bits: 1 to 8, or 32.
    :param alpha: where the clipping value starts, in deviations; ``None``: where the squared error
        of the first weights is smallest.
    :param rescale: multiply by the deviation, for layers without a normalisation.
    """

    kind = "apot weight"
    lazy = True

    def __init__(self, bits: int, *, alpha: float | None = None, rescale: bool = False) -> None:
        super().__init__(bits, rescale=rescale)
        self.start = alpha
        self.rescale = rescale
        self.alpha = nn.Parameter(torch.tensor(3.0))

    def initialise(self, w: Tensor) -> None:
        z = standardise(w)[0]
        starts = [0.25 * step for step in range(2, 17)] if self.start is None else [self.start]
        errors = [float((apot(z, z.new_tensor(a), self.bits) - z).square().sum()) for a in starts]
        self.alpha.fill_(starts[errors.index(min(errors))])

    def quantize(self, x: Tensor) -> Tensor:
        z, inverse = standardise(x.detach())
        self.keep_alive(self.alpha, z, first=first_level(self.bits, signed=True), last=1.0)
        normal = _Normal.apply(x, z, inverse)
        levels = apot(normal, self.alpha.to(x.dtype), self.bits, masked=False)
        return levels * deviation(inverse) if self.rescale else levels

    def codes(self, w: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z, inverse = standardise(w)
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
    """The deviation whose inverse :func:`standardise` gives; zero for a constant tensor."""
    return torch.where(inverse > 0, 1 / inverse, 0.0)


class _Normal(torch.autograd.Function):
    """Standardised weights, mean and deviation being constants."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, z: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return z.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        (inverse,) = ctx.saved_tensors
        return gradient * inverse, None, None


class APoTActivation(SignedActivation):
    """:func:`~cl_strategies.plugins.quantization.functional.apot` with a learned clipping value.

    :param bits: 1 to 8, or 32.
    :param alpha: where the clipping value starts; ``None``: three deviations above the mean
        magnitude of the first training batch.
    :param signed: ``None``: as the first training batch.
    """

    kind = "apot activation"

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
        signed = self.is_signed
        self.keep_alive(self.alpha, x, first=first_level(self.bits, signed=signed), last=1.0)
        return apot(x, self.alpha.to(x.dtype), self.bits, signed=signed)


class APoT(Scheme):
    """Levels that are sums of powers of two, dense around zero.

    :param weight_alpha: where clipping values of weights start, in deviations (the paper: 3);
        ``None``: where the squared error is smallest.
    :param activation_alpha: where those of activations start (the paper: 8); ``None``: from the
        first batch.
    :param signed: whether activations have both signs; ``None``: as the first training batch.
    """

    name = "apot"

    def __init__(
        self,
        *,
        weight_alpha: float | None = None,
        activation_alpha: float | None = None,
        signed: bool | None = None,
    ) -> None:
        self.weight_alpha = weight_alpha
        self.activation_alpha = activation_alpha
        self.signed = signed

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> APoTWeight:
        return APoTWeight(bits, alpha=self.weight_alpha, rescale=rescale)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> APoTActivation:
        return APoTActivation(bits, alpha=self.activation_alpha, signed=self.signed)

"""Weights on the grid of exactly ``2**bits`` equidistant levels around zero."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.functional.rounding import midrise_values_
from cl_strategies.plugins.quantization.quantizers.base import Encoded, WeightQuantizer


class MidriseWeight(WeightQuantizer):
    """Base of the weights of DoReFa, AlignQ and LifeQuant.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param rescale: whether to multiply the levels by :meth:`magnitude`, a constant of the gradient.
    :param settings: further options that change the function.
    """

    bound = 1.0

    def __init__(self, bits: int, *, rescale: bool, **settings: Any) -> None:
        super().__init__(bits, rescale=rescale, **settings)
        self.rescale = rescale

    def align(self, w: Tensor) -> Tensor:
        """Return the levels, in ``[-bound, bound]``."""
        raise NotImplementedError

    def magnitude(self, w: Tensor) -> Tensor:
        """Return the factor, a constant, that gives the levels the magnitude of ``w``."""
        raise NotImplementedError

    def unit_codes(self, w: Tensor) -> Tensor:
        """Return codes ``0 ... 2**bits - 1`` as floats."""
        raise NotImplementedError

    @property
    def packable(self) -> bool:
        """Whether there are at most ``2**bits`` levels."""
        return True

    def quantize(self, x: Tensor) -> Tensor:
        levels = self.align(x)
        return levels * self.magnitude(x.detach()) if self.rescale else levels

    def codes(self, w: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if not self.packable:
            raise UserError(
                f"{self.extra_repr()} has more than {2**self.bits} levels and no codes of "
                f"{self.bits} bits: use the default levels to pack a model"
            )
        scale = self.magnitude(w) if self.rescale else w.new_ones(())
        return self.unit_codes(w), {"scale": scale}

    def decode(self, encoded: Encoded) -> Tensor:
        scale = encoded.constants["scale"]
        values = midrise_values_(encoded.codes.to(scale.dtype), self.bits, self.bound)
        return values.mul_(scale)

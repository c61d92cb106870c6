"""AlignQ's quantisers as modules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.cdf_functions import (
    aligned_codes,
    cdf_align_activation,
    cdf_align_weight,
    check_levels,
)
from cl_strategies.plugins.quantization.groups import standardise
from cl_strategies.plugins.quantization.midrise import MidriseWeight
from cl_strategies.plugins.quantization.quantizer import ActivationQuantizer
from cl_strategies.plugins.quantization.scheme import Scheme


class AlignQWeight(MidriseWeight):
    """:func:`~cl_strategies.plugins.quantization.functional.cdf_align_weight`.

    :param bits: 1 to 8, or 32.
    :param levels: ``"exact"`` or ``"released"``.
    :param rescale: give the levels the deviation of the weights, for layers without a
        normalisation.
    """

    kind = "alignq weight"

    def __init__(self, bits: int, *, levels: str = "exact", rescale: bool = False) -> None:
        super().__init__(bits, rescale=rescale, levels=check_levels(levels))
        self.levels = levels

    @property
    def packable(self) -> bool:
        return self.levels == "exact"

    def align(self, w: Tensor) -> Tensor:
        return cdf_align_weight(w, self.bits, levels=self.levels)

    def magnitude(self, w: Tensor) -> Tensor:
        # the deviation of 2**bits equally frequent levels in [-1, 1]
        n = 2**self.bits - 1
        return w.std(correction=0) * math.sqrt(3 * n / (n + 2))

    def unit_codes(self, w: Tensor) -> Tensor:
        return aligned_codes(standardise(w)[0], self.bits)


class Alignment(nn.Module):
    """:func:`~cl_strategies.plugins.quantization.functional.cdf_align_activation` of what is
    standard normal. A module of its own, so that others can watch what goes in and comes out.

    :param bits: 1 to 8.
    :param act_range: bound of the levels.
    :param levels: ``"exact"`` or ``"released"``.
    """

    def __init__(self, bits: int, act_range: float, levels: str) -> None:
        super().__init__()
        self.bits, self.act_range, self.levels = bits, act_range, levels

    def forward(self, x: Tensor) -> Tensor:
        return cdf_align_activation(x, self.bits, act_range=self.act_range, levels=self.levels)


class AlignQActivation(ActivationQuantizer):
    """:func:`~cl_strategies.plugins.quantization.functional.cdf_align_activation`.

    :param bits: 1 to 8, or 32.
    :param act_range: bound of the levels.
    :param levels: ``"exact"`` or ``"released"``.
    :param features: channels that no BatchNorm has normalised: they are, without learned scales,
        before they are aligned. In training by the statistics of the batch, in evaluation, or where
        a batch has one value per channel, by their moving average.
    :param channel: their dimension: 1 as after a convolution of a batch, -3 of a batch or of one
        image, -1 after a linear layer, whatever the number of dimensions.
    """

    kind = "alignq activation"
    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        bits: int,
        *,
        act_range: float = 2.0,
        levels: str = "exact",
        features: int | None = None,
        channel: int = 1,
    ) -> None:
        if not 0 < act_range < float("inf"):
            raise UserError(f"act_range is {act_range}: give a positive number, such as 2")
        settings = {"act_range": act_range, "levels": check_levels(levels)}
        super().__init__(bits, **settings, normalise=features is not None)
        self.alignment = Alignment(bits, act_range, levels)
        self.features = features
        self.channel = channel
        if features is not None:
            self.register_buffer("mean", torch.zeros(features))
            self.register_buffer("variance", torch.ones(features))

    def apply_to(self, x: Tensor) -> Tensor:
        if self.features is not None:
            x = self._normalised(x, self.features)
        return self.alignment(x)

    def _normalised(self, x: Tensor, features: int) -> Tensor:
        batch = self.training and x.numel() > features
        if x.dim() > 1 and self.channel % x.dim() == 1:
            return F.batch_norm(x, self.mean, self.variance, training=batch)
        last = x.movedim(self.channel, -1)
        flat = last.reshape(-1, features)
        normal = F.batch_norm(flat, self.mean, self.variance, training=batch)
        return normal.view(last.shape).movedim(-1, self.channel)


class AlignQScheme(Scheme):
    """Levels uniform in the normal distribution function; activations are aligned where they are
    normalised, before the ReLU.

    :param levels: ``"exact"``: ``2**bits`` levels; ``"released"``: those of the authors' code with
        ADMM, which need one bit more.
    :param act_range: bound of the activations' levels.
    """

    name = "alignq"
    normalised = True

    def __init__(self, *, levels: str = "exact", act_range: float = 2.0) -> None:
        self.levels = check_levels(levels)
        self.act_range = act_range

    def weight(self, bits: int, *, shape: Sequence[int], rescale: bool) -> AlignQWeight:
        return AlignQWeight(bits, levels=self.levels, rescale=rescale)

    def activation(self, bits: int, *, features: int | None, channel: int = 1) -> AlignQActivation:
        return AlignQActivation(
            bits,
            act_range=self.act_range,
            levels=self.levels,
            features=features,
            channel=channel,
        )

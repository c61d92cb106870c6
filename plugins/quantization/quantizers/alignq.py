"""AlignQ's quantizers as modules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Doc

from cl_strategies.plugins.quantization.functional.cdf import (
    Levels,
    aligned_codes,
    cdf_align_activation,
    cdf_align_weight,
)
from cl_strategies.plugins.quantization.functional.channel_statistics import standardize
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer
from cl_strategies.plugins.quantization.quantizers.midrise import MidriseWeight
from cl_strategies.plugins.quantization.quantizers.scheme import Scheme
from cl_strategies.validation.parameter import Equation


class AlignQWeight(MidriseWeight):
    """:func:`~cl_strategies.plugins.quantization.functional.cdf_align_weight`.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param levels: ``"exact"`` or ``"released"``.
    :param rescale: whether to give the levels the deviation of the weights, for layers without a
        normalization.
    """

    kind = "alignq weight"

    def __init__(self, bits: int, *, levels: Levels, rescale: bool) -> None:
        super().__init__(bits, rescale=rescale, levels=levels)
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
        return aligned_codes(standardize(w)[0], self.bits)


class Alignment(nn.Module):
    """:func:`~cl_strategies.plugins.quantization.functional.cdf_align_activation` of what is
    standard normal. A module of its own, so that others can watch what goes in and comes out.

    :param bits: bit-width from 1 to 8.
    :param act_range: bound of the levels.
    :param levels: ``"exact"`` or ``"released"``.
    """

    def __init__(self, bits: int, *, act_range: float, levels: Levels) -> None:
        super().__init__()
        self.bits, self.act_range, self.levels = bits, act_range, levels

    def forward(self, x: Tensor) -> Tensor:
        return cdf_align_activation(x, self.bits, act_range=self.act_range, levels=self.levels)


class AlignQActivation(ActivationQuantizer):
    """:func:`~cl_strategies.plugins.quantization.functional.cdf_align_activation`.

    :param bits: bit-width from 1 to 8, or 32 for full precision.
    :param act_range: bound of the levels.
    :param levels: ``"exact"`` or ``"released"``.
    :param features: number of channels that no BatchNorm has normalized; ``None``: one has. They
        are normalized before they are aligned, without learned scales: in training by the
        statistics of the batch, in evaluation, or where a batch has one value per channel, by their
        moving average.
    :param channel: dimension of the channels: 1 as after a convolution of a batch, -3 of a batch or
        of one image, -1 after a linear layer, whatever the number of dimensions.
    """

    kind = "alignq activation"
    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        bits: int,
        *,
        act_range: float,
        levels: Levels,
        features: int | None,
        channel: int = 1,
    ) -> None:
        super().__init__(bits, act_range=act_range, levels=levels, normalize=features is not None)
        self.alignment = Alignment(bits, act_range=act_range, levels=levels)
        self.features = features
        self.channel = channel
        if features is not None:
            self.register_buffer("mean", torch.zeros(features))
            self.register_buffer("variance", torch.ones(features))

    def apply_to(self, x: Tensor) -> Tensor:
        if self.features is not None:
            x = self._normalized(x, self.features)
        return self.alignment(x)

    def _normalized(self, x: Tensor, features: int) -> Tensor:
        batch = self.training and x.numel() > features
        if x.dim() > 1 and self.channel % x.dim() == 1:
            return F.batch_norm(x, self.mean, self.variance, training=batch)
        last = x.movedim(self.channel, -1)
        flat = last.reshape(-1, features)
        normal = F.batch_norm(flat, self.mean, self.variance, training=batch)
        return normal.view(last.shape).movedim(-1, self.channel)


class AlignQScheme(Scheme):
    """Levels uniform in the normal distribution function; activations are aligned where they are
    normalized, before the ReLU.
    """

    name = "alignq"
    normalized = True

    def __init__(
        self,
        *,
        levels: Annotated[
            Levels,
            Doc(
                '``"exact"``: ``2**bits`` levels; ``"released"``: those of the authors\' code with '
                "ADMM, which need one bit more."
            ),
            Equation("Theorem 3.1"),
        ] = "exact",
        act_range: Annotated[float, Gt(0), Doc("Bound of the activations' levels.")] = 2.0,
    ) -> None:
        self.levels = levels
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

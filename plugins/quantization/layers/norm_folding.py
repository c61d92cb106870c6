"""A BatchNorm folded into the layer before it, in training as well (Jacob et al., CVPR 2018).

With ``a = gamma / sqrt(running_var + eps)`` the weight is scaled by ``a`` before it is quantized.
While the norm takes the statistics of the batch, the output is divided by ``a`` again and the norm
computes as ever, so that what it sees does not depend on ``a`` but for the rounding. With running
statistics the layer has the bias ``(b - running_mean) * a + beta``, and the norm passes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cl_strategies.errors import UserError
from cl_strategies.models.batch_norm import BatchNorm1d as SingleBatchNorm1d
from cl_strategies.plugins.quantization.quantizers.base import Encoded

_NO_SCALE = 1e-12


@dataclass(frozen=True)
class FoldedWeight:
    """A layer as one affine operation on integers, output channels first.

    :param encoded: codes of the weight and what decoding needs, for the ``decode`` of the layer's
        ``weight_quantizer``.
    :param alive: ``(out,)``, 0 for channels whose weight is zero whatever the codes are, because
        their ``gamma`` is, else 1; ``None``: no BatchNorm is folded.
    :param bias: ``(out,)``, or ``None`` for none.
    """

    encoded: Encoded
    alive: Tensor | None
    bias: Tensor | None


class NormFolding:
    """What a layer needs to know of the norm behind it; the norm stays where it is in the model.

    :param norm: a BatchNorm with running statistics.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        self.norm = norm

    @property
    def takes_batch(self) -> bool:
        """Whether the norm computes by itself, which it does in training."""
        return self.norm.training

    def scale(self) -> Tensor:
        """Return ``a``, of shape ``(out,)``."""
        inverse = torch.rsqrt(self._statistics()[1] + self.norm.eps)
        return inverse if self.norm.weight is None else self.norm.weight * inverse

    def alive(self) -> Tensor:
        """Return 0 where ``a`` is zero, else 1."""
        scale = self.scale().detach()
        return (scale.abs() >= _NO_SCALE).to(scale.dtype)

    def scaled(self, weight: Tensor) -> Tensor:
        """Return ``weight * a``; a channel without a scale is quantized as it is."""
        return weight * _like(self._divisor(), weight)

    def unscaled_weight(self, weight: Tensor) -> Tensor:
        """Return what :meth:`scaled` has scaled."""
        return (weight / _like(self._divisor(), weight)).detach()

    def silenced(self, weight: Tensor) -> Tensor:
        """Return ``weight`` with zeros in the channels without a scale."""
        return weight * _like(self.alive(), weight)

    def unscaled(self, y: Tensor, bias: Tensor | None) -> Tensor:
        """Return ``y / a + bias``, what the norm takes.

        :param y: ``(N, out, ...)``.
        """
        shape = (1, -1, *[1] * (y.dim() - 2))
        y = y / self._divisor().view(shape)
        return y if bias is None else y + bias.view(shape)

    def bias(self, bias: Tensor | None) -> Tensor:
        """Return the bias of the folded layer.

        :param bias: that of the layer.
        """
        mean = self._statistics()[0]
        centered = -mean if bias is None else bias - mean
        moved = centered * self.scale()
        return moved if self.norm.bias is None else moved + self.norm.bias

    def _divisor(self) -> Tensor:
        scale = self.scale()
        return torch.where(scale.detach().abs() >= _NO_SCALE, scale, 1.0)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        mean, variance = self.norm.running_mean, self.norm.running_var
        if mean is None or variance is None:
            raise UserError("a BatchNorm without running statistics cannot be folded")
        return mean, variance


def _like(channels: Tensor, weight: Tensor) -> Tensor:
    """Return one value per output channel in the form of a weight with those first."""
    return channels.view(-1, *[1] * (weight.dim() - 1)).to(weight.dtype)


class _FoldedNorm(_BatchNorm):
    """A BatchNorm that the layer before it computes in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.training else x


class FoldedBatchNorm1d(_FoldedNorm, nn.BatchNorm1d):
    """After a linear layer or a convolution of sequences."""


class FoldedSingleBatchNorm1d(_FoldedNorm, SingleBatchNorm1d):
    """As above, and of single samples."""


class FoldedBatchNorm2d(_FoldedNorm, nn.BatchNorm2d):
    """After a convolution."""


class FoldedBatchNorm3d(_FoldedNorm, nn.BatchNorm3d):
    """After a convolution of volumes."""


#: Plain class -> class of a norm that is folded.
FOLDED: dict[type[nn.Module], type[_BatchNorm]] = {
    nn.BatchNorm1d: FoldedBatchNorm1d,
    nn.BatchNorm2d: FoldedBatchNorm2d,
    nn.BatchNorm3d: FoldedBatchNorm3d,
    SingleBatchNorm1d: FoldedSingleBatchNorm1d,
}

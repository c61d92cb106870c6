"""Layers with a Gaussian distribution for each weight: mean ``weight``, variance beside it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn

from cl_strategies.plugins.bayesian.functional import gaussian_linear_moments


class Noise:
    """What the layers of a network share: where noise comes from, and which of them were called.

    :ivar silent: compute with the means, as if there were no variances.
    :ivar generator: of the noise; ``None``: PyTorch's global one.
    :ivar called: layers in the order of their last call.
    """

    def __init__(self) -> None:
        self.silent = False
        self.generator: Generator | None = None
        self.called: dict[GaussianLayer, None] = {}


class GaussianLayer(nn.Module):
    """What linear and convolutional layers have in common.

    ``weight`` and ``bias`` are the means. A tensor that the user froze has no variance.

    :ivar learned: which outputs have learned something, so that their distribution is the prior
        of what comes; ``(J,)``, bool.
    """

    weight: Tensor
    bias: Any
    weight_log_variance: nn.Parameter | None
    bias_log_variance: nn.Parameter | None
    learned: Tensor
    noise: Noise

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the outputs."""
        raise NotImplementedError

    def log_variances(self) -> tuple[Tensor, Tensor | None]:
        """Return those of the weights, minus infinity if they are frozen, and of the biases."""
        weight = self.weight_log_variance
        fixed = torch.full_like(self.weight, -torch.inf) if weight is None else weight
        return fixed, self.bias_log_variance

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Return mean and log variance of the weights and of the biases, where there are any."""
        found = ((self.weight, self.weight_log_variance), (self.bias, self.bias_log_variance))
        return [(mean, log) for mean, log in found if log is not None]

    def forward(self, x: Tensor) -> Tensor:
        """Draw the outputs instead of the weights (local reparametrization)."""
        self.noise.called.pop(self, None)
        self.noise.called[self] = None
        if self.noise.silent:
            return super().forward(x)  # type: ignore[misc, no-any-return]
        mean, variance = self.moments(x)
        # The square root has no gradient at 0, where an input is zero and there is no bias.
        deviation = variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()
        noise = torch.randn(
            mean.shape, generator=self.noise.generator, dtype=mean.dtype, device=mean.device
        )
        return mean + deviation * noise


class GaussianLinear(GaussianLayer, nn.Linear):
    """A linear layer with Gaussian weights."""

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """:param x: ``(..., I)``. :returns: ``(..., J)`` each."""
        weight, bias = self.log_variances()
        return gaussian_linear_moments(x, self.weight, weight, self.bias, bias)


class GaussianConv2d(GaussianLayer, nn.Conv2d):
    """A convolution with Gaussian weights, whose outputs are drawn place by place."""

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """:param x: ``(N, I, h, w)``. :returns: ``(N, J, h', w')`` each."""
        weight, bias = self.log_variances()
        return (
            self._conv_forward(x, self.weight, self.bias),
            self._conv_forward(x.square(), weight.exp(), None if bias is None else bias.exp()),
        )


KINDS: dict[type[nn.Module], type[GaussianLayer]] = {
    nn.Linear: GaussianLinear,
    nn.Conv2d: GaussianConv2d,
}

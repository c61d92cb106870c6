"""BatchNorm that survives a training batch of one sample."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm1d(nn.BatchNorm1d):
    """As PyTorch's, but one sample alone, which has no variance, uses the running statistics.

    PyTorch raises an error there: when the last mini-batch of an epoch has one sample, training
    ends.
    """

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(N, C)``. :returns: ``(N, C)``."""
        if self.training and len(x) == 1:
            statistics = self.running_mean, self.running_var
            return F.batch_norm(x, *statistics, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)

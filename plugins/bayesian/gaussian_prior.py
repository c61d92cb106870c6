"""The prior of an experience: what was learned before, and a wide Gaussian for all else."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cl_strategies.plugins.bayesian.functional import gaussian_kl
from cl_strategies.plugins.bayesian.gaussian_layers import GaussianLayer


class GaussianPrior:
    """The prior of one layer: its posterior so far, row by row; N(0, v) for rows without one.

    :param layer: as it is before the first step of the experience.
    :param variance: v.
    :param rows: outputs that take part, ``(J,)``, bool; ``None`` for all. The divergence leaves
        others out.
    """

    @torch.no_grad()
    def __init__(self, layer: GaussianLayer, variance: float, rows: Tensor | None = None) -> None:
        self.rows = None if rows is None or bool(rows.all()) else rows
        learned = layer.learned
        self.pairs = [
            (
                _by_row(learned, mean, torch.zeros_like(mean)),
                _by_row(learned, log, torch.full_like(log, math.log(variance))),
            )
            for mean, log in layer.pairs()
        ]

    def divergence(self, layer: GaussianLayer) -> Tensor:
        """Return the divergence of the layer from the prior, in nats."""
        pairs = zip(layer.pairs(), self.pairs, strict=True)
        tensors = [(*posterior, *prior) for posterior, prior in pairs]
        if self.rows is not None:
            rows = self.rows
            tensors = [(a[rows], b[rows], c[rows], d[rows]) for a, b, c, d in tensors]
        return torch.stack([gaussian_kl(*four) for four in tensors]).sum()


def _by_row(learned: Tensor, known: Tensor, other: Tensor) -> Tensor:
    rows = learned.view(-1, *[1] * (known.ndim - 1))
    return torch.where(rows, known.detach(), other)

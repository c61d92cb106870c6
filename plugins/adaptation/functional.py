"""Unsupervised domain adaptation: schedules, gradient reversal, local maximum mean discrepancy.

DANN is Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 2016; DSAN is Zhu et
al., "Deep Subdomain Adaptation Network for Image Classification", TNNLS 2021.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from cl_strategies.errors import UserError


def adaptation_weight(progress: float, *, gamma: float = 10.0) -> float:
    """Return the weight of the adaptation at some progress: ``2 / (1 + exp(-gamma p)) - 1``.

    DANN, Sec. 5.2.2 (lambda); DSAN, Sec. IV-B.

    >>> adaptation_weight(0.0)
    0.0
    >>> round(adaptation_weight(0.5), 4)
    0.9866

    :param progress: share of the training that is over, in [0, 1].
    :raises UserError: if ``progress`` is out of range.
    """
    return 2 / (1 + math.exp(-gamma * _share(progress))) - 1


def annealed_rate(
    rate: float, progress: float, *, alpha: float = 10.0, beta: float = 0.75
) -> float:
    """Return the learning rate at some progress: ``rate / (1 + alpha p) ** beta``.

    DANN, Sec. 5.2.2 (mu).

    >>> round(annealed_rate(0.01, 1.0), 6)
    0.001656

    :param progress: share of the training that is over, in [0, 1].
    :raises UserError: if ``progress`` is out of range.
    """
    return float(rate / (1 + alpha * _share(progress)) ** beta)


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    """Return ``x``; its gradient is ``-weight`` times that of the result (DANN, Eq. 9 and 10)."""
    reversed_: Tensor = _Reversed.apply(x, float(weight))  # type: ignore[no-untyped-call]
    return reversed_


def kernel_bandwidth(source: Tensor, target: Tensor) -> Tensor:
    """Return the bandwidth ``h`` of the kernels: a quarter of the mean squared distance.

    The mean is over all ordered pairs of different samples of both domains; no gradient. Fewer
    than two samples have the bandwidth 0.

    :param source: features ``(N_s, d)``.
    :param target: features ``(N_t, d)``.
    """
    both = torch.cat([source, target]).detach()
    pairs = len(both) ** 2 - len(both)
    return _squared_distances(both).sum() / max(pairs, 1) / 4


def lmmd(
    source: Tensor,
    target: Tensor,
    labels: Tensor,
    probabilities: Tensor,
    *,
    kernels: int = 5,
    factor: float = 2.0,
) -> Tensor:
    """Return the local maximum mean discrepancy of two batches (DSAN, Eq. 7 and 9).

    For each class ``c`` that is among the labels and among the arg max of the probabilities, the
    discrepancy ``w K w`` between the samples of ``c``: the weights ``w`` are those of the labels
    for the source and minus the probabilities of ``c`` for the target, each normalized over its
    batch, and ``K`` is the sum of ``exp(-|a - b|^2 / (h factor^u))`` over ``u < kernels``, with
    :func:`kernel_bandwidth` ``h``. The value is the mean over those classes. It is 0 without such
    a class, and where all features are equal. No gradient reaches probabilities and bandwidth.

    :param source: features ``(N_s, d)``.
    :param target: features ``(N_t, d)``; there may be more or fewer than of the source.
    :param labels: classes of the source ``(N_s,)``.
    :param probabilities: of the classes for each sample of the target ``(N_t, C)``.
    :returns: a scalar.
    """
    classes = probabilities.shape[1]
    chosen = probabilities.detach().to(source)
    truth = one_hot(labels, classes).to(source)
    guessed = one_hot(chosen.argmax(1), classes).to(source)
    present = (truth.sum(0) > 0) & (guessed.sum(0) > 0)
    weights = torch.cat([_normalized(truth), -_normalized(chosen)]) * present
    bandwidth = kernel_bandwidth(source, target)
    distances = _squared_distances(torch.cat([source, target]))
    # 0 / 0 where all features are equal would be a gradient of nan.
    widths = [torch.where(bandwidth > 0, bandwidth, 1) * factor**u for u in range(kernels)]
    kernel = torch.stack([torch.exp(-distances / width) for width in widths]).sum(0)
    value = (weights * (kernel @ weights)).sum() / present.sum().clamp_min(1)
    return torch.where(bandwidth > 0, value, 0)


def _share(progress: float) -> float:
    if not 0 <= progress <= 1:
        raise UserError(f"progress is {progress}: give a number from 0 to 1")
    return progress


def _normalized(weights: Tensor) -> Tensor:
    """Divide each column by its sum; columns of zeros stay."""
    total = weights.sum(0)
    return weights / torch.where(total > 0, total, 1)


def _squared_distances(x: Tensor) -> Tensor:
    """Return ``(N, N)``; from differences, so that equal samples have a distance of exactly 0."""
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, weight: float) -> Tensor:
        context.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return -context.weight * upstream, None

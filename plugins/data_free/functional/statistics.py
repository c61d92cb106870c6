"""How far images are from the statistics that BatchNorm layers keep."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cl_strategies.errors import UserError


def sample_statistics_loss(
    activations: Sequence[Tensor],
    means: Sequence[Tensor],
    variances: Sequence[Tensor],
    *,
    inputs: Tensor | None = None,
    eps: float = 1e-6,
) -> Tensor:
    """Compare the statistics of each image with those kept (ZeroQ, Eq. 3).

    ``sum_l sum_bc [(mu - m)**2 + (sqrt(var + eps) - s)**2] / B`` over the layers, with the mean
    ``m`` of each image and channel over space and ``s = sqrt(unbiased variance + eps)``.

    :param activations: what each BatchNorm is given, ``(B, C, h, w)``, at least two places each.
    :param means: running means ``(C,)``, a constant.
    :param variances: running variances ``(C,)``, a constant.
    :param inputs: images ``(B, c, h, w)``, whose own statistics are compared with a mean of 0 and a
        deviation of 1; ``None``: they are not.
    :param eps: what is added to each variance.
    :returns: the loss, of no dimension.
    :raises UserError: unless there are as many activations as means and variances, and some.

    >>> x = torch.tensor([[[[-1.0, 1.0]]]])
    >>> sample_statistics_loss([x], [torch.zeros(1)], [torch.tensor([2.0])])
    tensor(0.)
    """
    _check(activations, means, variances)
    pairs = [
        (x, mean, (variance + eps).sqrt())
        for x, mean, variance in zip(activations, means, variances, strict=True)
    ]
    if inputs is not None:
        pairs.append((inputs, inputs.new_zeros(()), inputs.new_ones(())))
    total = activations[0].new_zeros(())
    for x, mean, deviation in pairs:
        flat = x.flatten(2)
        found = (flat.var(2) + eps).sqrt()
        distance = (mean - flat.mean(2)).square() + (deviation - found).square()
        total = total + distance.sum() / len(x)
    return total


def batch_statistics_loss(
    activations: Sequence[Tensor], means: Sequence[Tensor], variances: Sequence[Tensor]
) -> Tensor:
    """Compare the statistics of a batch with those kept (Qimera, Eq. 4; IntraQ, Eq. 6).

    The mean over layers of ``mean_c (m - mu)**2 + mean_c (v - var)**2``, with the mean ``m`` and
    the biased variance ``v`` of the batch.

    :param activations: what each BatchNorm is given, ``(B, C, ...)``.
    :param means: running means ``(C,)``.
    :param variances: running variances ``(C,)``.
    :returns: the loss, of no dimension.
    :raises UserError: unless there are as many activations as means and variances, and some.

    >>> x = torch.tensor([[[[-1.0, 1.0]]]])
    >>> batch_statistics_loss([x], [torch.zeros(1)], [torch.ones(1)])
    tensor(0.)
    """
    _check(activations, means, variances)
    losses = []
    for x, mean, variance in zip(activations, means, variances, strict=True):
        flat = x.transpose(0, 1).flatten(1)
        of_mean = (flat.mean(1) - mean).square().mean()
        losses.append(of_mean + (flat.var(1, correction=0) - variance).square().mean())
    return torch.stack(losses).mean()


def _check(*sequences: Sequence[Tensor]) -> None:
    counts = [len(sequence) for sequence in sequences]
    if len(set(counts)) > 1 or not counts[0]:
        raise UserError(
            f"there are {counts[0]} activations, {counts[1]} means and {counts[2]} variances: give "
            "one of each for every BatchNorm, and at least one"
        )

"""Independent Gaussian weights: variational continual learning (Nguyen, Li, Bui, Turner, ICLR
2018) with the local reparametrization of Kingma, Salimans and Welling (NeurIPS 2015)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from cl_strategies.errors import UserError


def gaussian_kl(
    mean: Tensor, log_variance: Tensor, prior_mean: Tensor, prior_log_variance: Tensor
) -> Tensor:
    """Return KL(q || p) of independent Gaussians, the second term of the objective (Eq. 4).

    The sum over elements of 1/2 [log v0 - log v + (v + (m - m0)^2) / v0 - 1], in nats.

    :param mean: m of q, any shape.
    :param log_variance: log v of q, of that shape.
    :param prior_mean: m0 of p, of that shape or broadcastable to it.
    :param prior_log_variance: log v0 of p, likewise.
    :returns: a scalar; 0 for equal distributions.
    :raises UserError: if the shapes do not fit.

    >>> import torch
    >>> zeros = torch.zeros(3)
    >>> gaussian_kl(zeros + 1, zeros, zeros, zeros)
    tensor(1.5000)
    """
    if mean.shape != log_variance.shape:
        raise UserError(
            f"the mean has the shape {tuple(mean.shape)} and the log variance "
            f"{tuple(log_variance.shape)}: give one variance for each mean"
        )
    gap = prior_log_variance - log_variance
    distance = (mean - prior_mean).square() * (-prior_log_variance).exp()
    return (gap + (-gap).exp() + distance - 1).sum() / 2


def gaussian_linear_moments(
    inputs: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    bias_mean: Tensor | None = None,
    bias_log_variance: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of the outputs of a linear layer with Gaussian weights.

    For a given input the outputs are independent Gaussians: drawing them draws the weights.

    :param inputs: ``(N, I)``.
    :param mean: of the weights, ``(J, I)``.
    :param log_variance: of the weights, ``(J, I)``.
    :param bias_mean: ``(J,)``, or ``None`` for a layer without biases.
    :param bias_log_variance: ``(J,)``, or ``None`` for biases that are numbers.
    :returns: ``(N, J)`` each; nothing is added to the variance, which may be 0.
    """
    variance = None if bias_log_variance is None else bias_log_variance.exp()
    return (
        F.linear(inputs, mean, bias_mean),
        F.linear(inputs.square(), log_variance.exp(), variance),
    )

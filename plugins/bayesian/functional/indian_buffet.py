"""The Indian buffet process by stick-breaking, and its variational approximation (Mehta, Liang,
Verma, Carin, AISTATS 2021, section 3; Nalisnick, Smyth, ICLR 2017; Maddison, Mnih, Teh, ICLR 2017).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_strategies.errors import UserError

_EULER = 0.57721566490153286


def stick_breaking(fractions: Tensor) -> Tensor:
    """Multiply the fractions up to each factor: the probabilities of the prior.

    :param fractions: ``(F,)``, v in the paper, each from 0 to 1.
    :returns: ``(F,)``, falling.

    >>> stick_breaking(torch.tensor([0.5, 0.5, 0.5])).tolist()
    [0.5, 0.25, 0.125]
    """
    return fractions.cumprod(dim=-1)


def kumaraswamy_quantile(u: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return ``(1 - (1 - u)^(1/b))^(1/a)``: a Kumaraswamy(a, b) sample for uniform ``u``.

    :param u: above 0 and below 1.
    :param a: above 0.
    :param b: above 0.
    :returns: of their common shape.
    """
    inner = -torch.expm1(torch.log1p(-u) / b)
    return (inner.log() / a).exp()


def kumaraswamy_beta_kl(
    a: Tensor, b: Tensor, prior_a: Tensor, prior_b: Tensor, *, terms: int = 10
) -> Tensor:
    """Compute KL(Kumaraswamy(a, b) || Beta(prior_a, prior_b)), elementwise.

    :param a: above 0.
    :param b: above 0.
    :param prior_a: above 0.
    :param prior_b: above 0; with 1 the series vanishes and the result is exact.
    :param terms: Length of the series for the mean of log(1 - v).
    :returns: nats, of their common shape.
    :raises UserError: for less than one term.
    """
    prior_a, prior_b = torch.as_tensor(prior_a).to(a), torch.as_tensor(prior_b).to(a)
    beta = _log_beta(prior_a, prior_b)
    series = _series(a, b, torch.ones_like(a), terms)
    return _common(a, b, prior_a) + beta + (prior_b - 1) * b * series


def kumaraswamy_kl(
    a: Tensor, b: Tensor, prior_a: Tensor, prior_b: Tensor, *, terms: int = 15
) -> Tensor:
    """Compute KL(Kumaraswamy(a, b) || Kumaraswamy(prior_a, prior_b)), elementwise.

    :param a: above 0.
    :param b: above 0.
    :param prior_a: above 0.
    :param prior_b: above 0; with 1 the series vanishes and the result is exact.
    :param terms: Length of the series for the mean of log(1 - v^prior_a).
    :returns: nats, of their common shape.
    :raises UserError: for less than one term.
    """
    prior_a, prior_b = torch.as_tensor(prior_a).to(a), torch.as_tensor(prior_b).to(a)
    series = _series(a, b, prior_a, terms)
    rest = (prior_b - 1) * prior_a * b * series
    return _common(a, b, prior_a) - prior_a.log() - prior_b.log() + rest


def concrete_log_density(
    sample: Tensor, probability: Tensor, *, temperature: float = 2 / 3, clip: float = 1e-3
) -> Tensor:
    """Compute the log density of a relaxed binary variable before its sigmoid.

    The variable is ``(logit(probability) + L) / temperature`` with a logistic ``L``.

    :param sample: Value of the variable.
    :param probability: of a one; of the shape of ``sample``.
    :param temperature: above 0.
    :param clip: Least distance of the probability from 0 and 1, to which it is clipped.
    :returns: nats, elementwise.
    :raises UserError: for a temperature out of its range.
    """
    if not temperature > 0:
        raise UserError(f"temperature is {temperature}: give a number above 0")
    z = torch.logit(probability.clamp(clip, 1 - clip)) - temperature * sample
    return z + math.log(temperature) + 2 * F.logsigmoid(-z)


def concrete_log_ratio(
    sample: Tensor,
    probability: Tensor,
    prior: Tensor,
    *,
    temperature: float = 2 / 3,
    clip: float = 1e-3,
) -> Tensor:
    """Compute log q - log p at a sample of q: KL(q || p) in expectation.

    :param sample: Value of the variable, before its sigmoid.
    :param probability: of a one under q.
    :param prior: of a one under p.
    :param temperature: of both.
    :param clip: as for :func:`concrete_log_density`.
    :returns: nats, elementwise.
    """
    q = concrete_log_density(sample, probability, temperature=temperature, clip=clip)
    return q - concrete_log_density(sample, prior, temperature=temperature, clip=clip)


def _common(a: Tensor, b: Tensor, prior_a: Tensor) -> Tensor:
    """Return the terms that are the same for both priors."""
    mean_log = (a - prior_a) / a * (-_EULER - torch.digamma(b) - 1 / b)
    return mean_log + a.log() + b.log() - (b - 1) / b


def _series(a: Tensor, b: Tensor, step: Tensor, terms: int) -> Tensor:
    """Sum B(m step / a, b) / (m step + a b) over m from 1 to ``terms``."""
    if terms < 1:
        raise UserError(f"terms is {terms}: give at least 1")
    shape = (terms, *(1,) * a.dim())
    m = torch.arange(1, terms + 1, dtype=a.dtype, device=a.device).view(shape) * step
    return (_log_beta(m / a, b).exp() / (m + a * b)).sum(dim=0)


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    """Return log B(a, b), computed in float64: two of its terms nearly cancel where a is large."""
    first, second = a.double(), b.double()
    value = torch.lgamma(first) + torch.lgamma(second) - torch.lgamma(first + second)
    return value.to(a.dtype)

"""AlignQ's correlation preservation (Sec. 3.2): correlations between the samples of a batch, and
the ADMM steps that keep their change by quantization small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from cl_strategies.errors import unknown_name
from cl_strategies.plugins.quantization.functional.channel_statistics import group_size

#: Forms of the loss: dual-free, the textbook's augmented Lagrangian, the authors' code.
CorrelationForm = Literal["penalty", "textbook", "released"]


def correlation(x: Tensor) -> Tensor:
    """Return ``Xs Xs' / F``: correlations between samples, over their features.

    ``Xs`` is ``x`` with each feature standardized over the batch (unbiased deviation). A feature
    that is constant in the batch, as every one is in a batch of one sample, counts as zero.

    :param x: values ``(B, ...)`` of a batch, flattened to ``(B, F)``.
    :returns: ``(B, B)``, differentiable.

    >>> correlation(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
    tensor([[ 0.5000, -0.5000],
            [-0.5000,  0.5000]])
    """
    flat = x.flatten(1) if x.dim() > 1 else x[:, None]
    if flat.numel() == 0:
        return flat.new_zeros(len(flat), len(flat))
    centered = flat - flat.mean(0)
    variance = centered.square().sum(0) / max(len(flat) - 1, 1)
    noise = (8 * torch.finfo(flat.dtype).eps * flat.detach().abs().amax(0)).square()
    varied = variance > noise
    inverse = torch.where(varied, torch.where(varied, variance, 1.0).rsqrt(), 0.0)
    standard = centered * inverse
    return standard @ standard.T / group_size(flat, (1,))


def admm_update(
    difference: Tensor, auxiliary: Tensor, dual: Tensor, *, mu: float, rho: float
) -> tuple[Tensor, Tensor]:
    """Make one closed-form step of ``min mu ||Z||_F`` subject to ``D = Z``.

    ``V = D + Gamma / rho``, ``Z = max(0, 1 - (mu / rho) / ||V||_F) V``, then
    ``Gamma = Gamma + rho * (D - Z)``.

    :param difference: ``D``, the change of the correlations, ``(B, B)``.
    :param auxiliary: ``Z``; its value is not used, its shape is that of the result.
    :param dual: ``Gamma``, shape of ``D``.
    :param mu: weight of the change, positive.
    :param rho: penalty parameter, positive.
    :returns: the new ``(auxiliary, dual)``.
    """
    target = difference + dual / rho
    norm = torch.linalg.vector_norm(target)
    shrink = (1 - (mu / rho) / norm.clamp_min(torch.finfo(norm.dtype).tiny)).clamp_min(0)
    auxiliary = (shrink * target).view_as(auxiliary)
    return auxiliary, dual + rho * (difference - auxiliary)


def admm_loss(
    difference: Tensor,
    auxiliary: Tensor,
    dual: Tensor,
    *,
    mu: float,
    rho: float,
    form: CorrelationForm = "textbook",
) -> Tensor:
    """Return the loss that the network minimizes, given the other two variables.

    ``"textbook"``: the augmented Lagrangian ``mu ||Z||_F + <Gamma, D - Z> + rho/2 ||D - Z||_F^2``.
    ``"released"``, as in the authors' code:
    ``mu mean|Z| + rho/2 sqrt(mean((D - Z)^2)) + mean(Gamma |D - Z|)``. ``"penalty"``:
    ``mu ||D||_F``, without the other variables.

    :param difference: ``D``, ``(B, B)``.
    :param auxiliary: ``Z``, shape of ``D``.
    :param dual: ``Gamma``, shape of ``D``.
    :param mu: weight of the change.
    :param rho: penalty parameter.
    :param form: one of the forms above.
    :returns: a scalar; its gradient at ``D = 0`` or ``D = Z`` is finite.
    :raises UserError: for another form.
    """
    if form not in get_args(CorrelationForm):
        raise unknown_name("form of the correlation loss", form, get_args(CorrelationForm))
    norm: Callable[[Tensor], Tensor] = torch.linalg.vector_norm
    if form == "penalty":
        return mu * norm(difference)
    gap = difference - auxiliary
    if form == "textbook":
        return mu * norm(auxiliary) + (dual * gap).sum() + rho / 2 * gap.square().sum()
    size = max(difference.numel(), 1)
    multiplier = (dual * gap.abs()).sum() / size
    spread: Tensor = rho / 2 * norm(gap) / size**0.5
    return mu * auxiliary.abs().sum() / size + spread + multiplier

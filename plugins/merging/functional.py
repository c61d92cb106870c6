"""Mathematics of incremental moment matching (IMM): one parameter of several networks.

``theta_k`` is the parameter after task ``k``, ``F_k`` the diagonal of its Fisher information, and
``a_k`` the weight of the network, with ``sum_k a_k = 1``.

Paper: Lee, Kim, Jun, Ha, Zhang, "Overcoming Catastrophic Forgetting by Incremental Moment
Matching", NeurIPS 2017, of which this is Eq. 3 to 8.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.validation.numbers import finite, not_negative


def merge_weights(count: int, alpha: float | None) -> Tensor:
    """Return the weights ``a_k`` of ``count`` networks: ``alpha`` for the last, the rest shared.

    :param count: number of networks, at least 1.
    :param alpha: weight of the last one, from 0 to 1; ``None``: ``1 / count``, all alike. A single
        network has the weight 1.
    :return: float64 ``(count,)``, which sums to 1.
    :raises UserError: for a value out of its range.

    >>> merge_weights(3, 0.5)
    tensor([0.2500, 0.2500, 0.5000], dtype=torch.float64)
    """
    if count < 1:
        raise UserError(f"count is {count}: there must be at least one network to merge")
    last = 1 / count if alpha is None else alpha
    finite(alpha=last)
    if not 0 <= last <= 1:
        raise UserError(f"alpha is {alpha}: the weight of the last network is from 0 to 1")
    if count == 1:
        return torch.ones(1, dtype=torch.float64)
    earlier = (1 - last) / (count - 1)
    return torch.tensor([earlier] * (count - 1) + [last], dtype=torch.float64)


def mean_merge(parameters: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Return ``sum_k a_k theta_k``: mean-IMM, the mean of a mixture of Gaussians.

    :param parameters: ``theta_k`` of each network, all of one shape; a tensor ``(K, ...)`` will do.
    :param weights: ``a_k``, ``(K,)``.
    :return: shape and type of a ``theta_k``.
    :raises UserError: if there are none, or their number or shapes differ.

    >>> mean_merge([torch.tensor([1.0]), torch.tensor([3.0])], torch.tensor([0.25, 0.75]))
    tensor([2.5000])
    """
    thetas, shares = _stacked(parameters, weights)
    return (shares * thetas).sum(0)


def mode_merge(
    parameters: Sequence[Tensor],
    precisions: Sequence[Tensor],
    weights: Tensor,
    *,
    eps: float = 1e-8,
) -> Tensor:
    """Return ``sum_k a_k (F_k + eps) theta_k / sum_k a_k (F_k + eps)``: mode-IMM, elementwise.

    This is the mode of the Laplace approximation of a mixture of Gaussians whose precisions are
    diagonal. Equal precisions give :func:`mean_merge`.

    :param parameters: ``theta_k`` of each network, all of one shape.
    :param precisions: ``F_k``, of the same shapes, not negative.
    :param weights: ``a_k``, ``(K,)``.
    :param eps: added to each precision. With ``eps=0`` an element without any precision is 0/0.
    :return: shape and type of a ``theta_k``.
    :raises UserError: if there are none, their number or shapes differ, or ``eps`` is negative.

    >>> thetas, fishers = [torch.zeros(1), torch.ones(1)], [torch.ones(1), 3 * torch.ones(1)]
    >>> mode_merge(thetas, fishers, torch.tensor([0.5, 0.5]), eps=0.0)
    tensor([0.7500])
    """
    finite(eps=eps)
    not_negative(eps=eps)
    thetas, shares = _stacked(parameters, weights)
    if len(precisions) != len(thetas):
        raise UserError(f"there are {len(precisions)} precisions of {len(thetas)} networks")
    _check_shapes("precisions", precisions, thetas[0])
    weighted = shares * (torch.stack(list(precisions)).to(thetas) + eps)
    return (weighted * thetas).sum(0) / weighted.sum(0)


def share_of_last(mass: Tensor, precision: Tensor, *, networks: int, alpha: float | None) -> Tensor:
    """Return the share that the last network has in the merged parameter, elementwise.

    The others are known by their mean, weighted by precision, so that merging is
    ``mean + share * (theta_K - mean)``, which is :func:`mode_merge`, and :func:`mean_merge` where
    each precision is 1. A network that lacks an element has the precision 0 there.

    :param mass: sum of the precisions of the networks before the last.
    :param precision: precision of the last network.
    :param networks: number of networks ``K``, the last included.
    :param alpha: as for :func:`merge_weights`.
    :return: from 0 to 1; 1 where no other network has the element.
    """
    weights = merge_weights(networks, alpha)
    last, others = float(weights[-1]) * precision, float(weights[0]) * mass
    total = last + others
    return torch.where((mass > 0) & (total > 0), last / total, torch.ones_like(total))


def _stacked(parameters: Sequence[Tensor], weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the parameters ``(K, ...)`` and their weights ``(K, 1...)``."""
    if not len(parameters):
        raise UserError("there is no network to merge: give at least one parameter")
    if weights.shape != (len(parameters),):
        raise UserError(
            f"weights has the shape {tuple(weights.shape)}, and there are {len(parameters)} "
            "networks: give one weight for each"
        )
    _check_shapes("parameters", parameters, parameters[0])
    thetas = torch.stack(list(parameters))
    return thetas, weights.to(thetas).view(-1, *[1] * (thetas.dim() - 1))


def _check_shapes(name: str, tensors: Sequence[Tensor], reference: Tensor) -> None:
    for tensor in tensors:
        if tensor.shape != reference.shape:
            raise UserError(
                f"{name} has the shapes {tuple(tensor.shape)} and {tuple(reference.shape)}: all "
                "tensors must have one shape"
            )

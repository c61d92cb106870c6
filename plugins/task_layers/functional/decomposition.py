"""Additive decomposition of the weights of tasks (Yoon, Kim, Yang, Hwang, "Scalable and
Order-robust Continual Learning with Additive Parameter Decomposition", ICLR 2020).

Weights of a task are shared ones, masked by output unit, plus a sparse residual of the task alone:
``sigma * sigmoid(v) + tau`` in the paper's letters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from cl_strategies.errors import UserError


def decomposed_weight(shared: Tensor, mask_logits: Tensor, residual: Tensor) -> Tensor:
    """Compute the weights of a task, ``shared * sigmoid(mask_logits) + residual`` (section 3.1).

    :param shared: ``(J, I)`` or ``(J, I, kh, kw)``, sigma in the paper.
    :param mask_logits: ``(..., J)``, one number per output unit, v in the paper; in front of J
        there may be tasks.
    :param residual: of the shape of the result, or broadcastable to it; tau in the paper.
    :returns: of the shape of ``shared``, behind the tasks if there are any.

    >>> shared, residual = torch.tensor([[[2.0, 4.0], [6.0, 8.0]], [[0.0, 1.0], [0.0, 3.0]]])
    >>> decomposed_weight(shared, torch.tensor([0.0, -100.0]), residual)
    tensor([[1., 3.],
            [0., 3.]])
    """
    rest = (1,) * (shared.dim() - 1)
    return shared * torch.sigmoid(mask_logits).reshape(*mask_logits.shape, *rest) + residual


def decomposition_penalty(
    shared: Tensor,
    mask_logits: Tensor,
    residual: Tensor,
    old_mask_logits: Sequence[Tensor] | Tensor,
    old_residuals: Sequence[Tensor] | Tensor,
    old_weights: Sequence[Tensor] | Tensor,
    *,
    l1: float = 4e-4,
    drift: float = 100.0,
    weight_decay: float = 1e-4,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute what a layer adds to the loss of a task (section 3.1; decay is of the authors' code).

    The old residuals and the shared weights have gradients: both go on learning, as long as the
    weights that old tasks compute with stay. Old masks and the weights to hold have none, and the
    derivative of ``|x|`` at zero is zero.

    :param shared: ``(J, ...)``.
    :param mask_logits: ``(J,)``, of the task.
    :param residual: of the task, of the shape of ``shared``.
    :param old_mask_logits: of the T earlier tasks, each ``(J,)``; T may be 0.
    :param old_residuals: of the earlier tasks, each of the shape of ``shared``.
    :param old_weights: what the weights of the earlier tasks are to stay, likewise.
    :param l1: factor of the absolute values of all residuals, lambda_1 in the paper.
    :param drift: factor of half the squared change of old weights, lambda_2 in the paper.
    :param weight_decay: factor of half the squares of residual and mask logits, and without
        earlier tasks of the shared weights.
    :returns: sparsity, drift and decay, each times its factor; they add up.
    :raises UserError: for different numbers of earlier tasks.
    """
    counts = {len(old_mask_logits), len(old_residuals), len(old_weights)}
    if len(counts) > 1:
        raise UserError(
            f"old_mask_logits, old_residuals and old_weights are of {sorted(counts)} tasks: give "
            "one of each for every earlier task"
        )
    size = torch.linalg.vector_norm(residual, 1)
    squares = residual.square().sum() + mask_logits.square().sum()
    moved = shared.new_zeros(())
    if not len(old_residuals):
        squares = squares + shared.square().sum()
    rest = (1,) * (shared.dim() - 1)
    # Task by task, in as few passes over large tensors as there can be: this is done at each step.
    for logits, old, held in zip(old_mask_logits, old_residuals, old_weights, strict=True):
        mask = torch.sigmoid(logits.detach()).reshape(-1, *rest)
        now = torch.addcmul(old, shared, mask)
        moved = moved + functional.mse_loss(now, held.detach(), reduction="sum")
        size = size + torch.linalg.vector_norm(old, 1)
    return l1 * size, drift / 2 * moved, weight_decay / 2 * squares


def hard_threshold(residual: Tensor, threshold: float) -> Tensor:
    """Zero the entries whose absolute value is at most ``threshold``, as in evaluation.

    >>> hard_threshold(torch.tensor([-0.3, 0.1, 0.2]), 0.1)
    tensor([-0.3000,  0.0000,  0.2000])
    """
    return residual.masked_fill(residual.abs() <= threshold, 0.0)


def consolidate(
    residuals: Tensor | Sequence[Tensor], groups: Tensor, *, spread: float = 1e-2
) -> tuple[Tensor, Tensor]:
    """Take what the residuals of a group have in common out of them (section 3.2).

    An entry is common where its values within the group differ by at most ``spread``: the
    component of the group holds their mean there, and zero elsewhere. The decomposition is exact:
    a new residual and the component of its group add up to the old residual. (The paper gives up
    the rest; so does the model, see the page of the method.)

    :param residuals: ``(T, ...)``, of T tasks.
    :param groups: ``(T,)`` integers ``0 ... G-1``, the group of each task. A group may be empty;
        its component is zero.
    :param spread: largest difference within a group, beta in the paper, in units of the weights.
    :returns: components ``(G, ...)`` and new residuals ``(T, ...)``.
    :raises UserError: unless there is one group for each task.

    >>> consolidate(torch.tensor([[1.0, 5.0], [1.5, 9.0]]), torch.tensor([0, 0]), spread=1.0)
    (tensor([[1.2500, 0.0000]]), tensor([[-0.2500,  5.0000],
            [ 0.2500,  9.0000]]))
    """
    stacked = _stacked(residuals)
    groups = torch.as_tensor(groups, device=stacked.device).long()
    if groups.shape != stacked.shape[:1] or bool((groups < 0).any()):
        raise UserError(
            f"there are groups of the shape {tuple(groups.shape)} for {len(stacked)} residuals: "
            "give the number of a group, from 0 on, for each"
        )
    count = int(groups.max()) + 1 if len(groups) else 0
    components = stacked.new_zeros(count, *stacked.shape[1:])
    for group in range(count):
        members = stacked[groups == group]
        if len(members):
            near = members.amax(0) - members.amin(0) <= spread
            components[group] = torch.where(near, members.mean(0), 0.0)
    return components, stacked - components[groups]


def _stacked(tensors: Sequence[Tensor] | Tensor) -> Tensor:
    return tensors if isinstance(tensors, Tensor) else torch.stack(list(tensors))

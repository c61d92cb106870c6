"""Knowledge projection (Sun, Li, Zhang, Wang, Geng, "Decoupling Learning and Remembering: a Bilevel
Memory Framework with Knowledge Projection", CVPR 2023).

All tasks share an orthonormal basis ``B`` of the outputs of a layer, ``(J, r)``, one unit or
channel for each row. A task stores the coefficients of its weights in that basis. Weights
``(J, I)`` or ``(J, I, kh, kw)`` are seen as ``W``, ``(J, d)`` with ``d = I kh kw``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cl_strategies.errors import UserError

#: Shares of the squared norm that are rounding.
_NOTHING = 1e-13


def extend_output_basis(basis: Tensor, representation: Tensor, threshold: float) -> Tensor:
    """Add the directions that let the basis hold a share of a representation.

    An empty basis takes the leading left singular vectors of ``R`` as long as the share of the
    squared norm that they hold together is below ``threshold``: one fewer than are needed to reach
    it, and perhaps none. Any other takes those of ``R - B B^T R``, in order, until it holds the
    share. A threshold of 1 takes every direction that is more than rounding.

    :param basis: ``(J, r)``, orthonormal columns; ``r = 0`` before the first task.
    :param representation: ``R``, ``(J, n)``: outputs of the layer, without its bias; a column for
        each sample, and for a convolution for each place, too.
    :param threshold: from 0 to 1.
    :returns: ``(J, r')``, orthonormal columns, ``r <= r' <= J``; the first ``r`` are those of
        ``basis``, bit by bit. The signs of the others are arbitrary.
    :raises UserError: for a threshold out of range, or a representation that is not finite.

    >>> outputs = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
    >>> extend_output_basis(outputs[:, :0], outputs, 0.95).abs()
    tensor([[1., 0.],
            [0., 1.],
            [0., 0.]])
    """
    if not 0 <= threshold <= 1:
        raise UserError(f"threshold is {threshold}: give a number from 0 to 1")
    if not bool(representation.isfinite().all()):
        raise UserError("the outputs of a layer are not finite: the training diverged")
    rest = representation - basis @ (basis.T @ representation)
    left, values, _ = torch.linalg.svd(rest, full_matrices=False)
    total, energies = representation.square().sum(), values.square()
    if threshold == 1:
        wanted = energies > _NOTHING * total
    elif basis.shape[1]:
        held = total - energies.sum()
        wanted = held + energies.cumsum(0) - energies < threshold * total
    else:
        wanted = energies.cumsum(0) < threshold * total
    new = left[:, : min(int(wanted.sum()), len(basis) - basis.shape[1])]
    if basis.shape[1]:  # orthogonal to the old columns beyond what rounding has left
        new = torch.linalg.qr(new - basis @ (basis.T @ new)).Q
    return torch.cat([basis, new], dim=1)


def basis_coefficients(basis: Tensor, weight: Tensor) -> Tensor:
    """Return the coefficients of weights in a basis, ``B^T W``: the projection of knowledge.

    :param basis: ``(J, r)``, orthonormal columns.
    :param weight: ``(J, I)`` or ``(J, I, kh, kw)``.
    :returns: ``(r, I kh kw)``.
    """
    return basis.T @ weight.flatten(1)


def compose_weight(basis: Tensor, coefficients: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the weights of a task, ``B C``, out of the columns that the basis had for it.

    :param basis: ``(J, r')``, of which later tasks may have added columns.
    :param coefficients: ``C``, ``(r, I kh kw)`` with ``r <= r'``.
    :param shape: ``(J, I)`` or ``(J, I, kh, kw)``.
    :returns: of that shape.
    """
    return (basis[:, : len(coefficients)] @ coefficients).view(*shape)


def basis_penalty(basis: Tensor, weight: Tensor) -> Tensor:
    """Compute the penalty on what the weights of one layer have outside the basis: L_mu.

    With ``P = [B^T ; (W - B B^T W)^T]``, ``(r + d, J)``, and ``G = P^T P`` it is
    ``trace(G) / sum(G)``. Neither is needed: the trace is ``r + |W|^2 - |B^T W|^2``, and the sum
    of all entries the squared norm of the sum of the columns of ``P``.

    :param basis: ``(J, r)``, orthonormal columns; no gradient.
    :param weight: ``(J, I)`` or ``(J, I, kh, kw)``.
    :returns: a scalar.
    """
    basis, flat = basis.detach(), weight.flatten(1)
    inside, ones = basis.T @ flat, basis.sum(0)
    outside = (1 - basis @ ones) @ flat  # the sum of the rows of W - B B^T W
    trace = basis.shape[1] + flat.square().sum() - inside.square().sum()
    return trace / (ones.square().sum() + outside.square().sum())

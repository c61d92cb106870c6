"""Importances of sliced Cramer preservation (Kolouri et al., "Sliced Cramer Synaptic Consolidation
for Preserving Deeply Learned Representations", ICLR 2020)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cl_strategies.validation.numbers import whole


def sphere(slices: int, dimensions: int, like: Tensor) -> Tensor:
    """Directions drawn uniformly on the unit sphere, by torch's generator.

    :param slices: how many, at least 1.
    :param dimensions: of the space.
    :param like: a tensor of the wanted type and device.
    :returns: ``(slices, dimensions)``, rows of length 1.
    :raises UserError: for fewer than one slice.
    """
    whole(1, slices=slices)
    normal = torch.randn(slices, dimensions, dtype=like.dtype, device=like.device)
    return torch.nn.functional.normalize(normal, dim=1)


def fewest_rows(directions: Tensor) -> Tensor:
    """Return rows ``v`` with ``sum_r v_r v_r^T`` the mean of ``xi_l xi_l^T`` over all directions.

    The mean of squared slices ``(xi_l . J)^2`` is the quadratic form of that matrix, so that more
    slices than dimensions cost no more gradients than there are dimensions.

    :param directions: ``(L, d)``.
    :returns: ``(min(L, d), d)``.

    >>> fewest_rows(torch.ones(50, 10)).shape
    torch.Size([10, 10])
    """
    scaled = directions / math.sqrt(len(directions))
    if len(scaled) <= scaled.shape[1]:
        return scaled
    wide = scaled if scaled.dtype == torch.float64 else scaled.float()  # no QR in half precision
    return torch.linalg.qr(wide).R.to(scaled)


def sliced_importance(
    response: Tensor, parameters: Sequence[Tensor], directions: Tensor | None = None
) -> list[Tensor]:
    """Return ``mean over l of (d (xi_l . response) / d theta)^2``, elementwise, for each parameter.

    :param response: ``(d,)``, mean output of a batch, with its graph.
    :param parameters: what to differentiate by; one that is frozen, or that ``response`` does not
        depend on, gets zeros.
    :param directions: ``(L, d)`` unit vectors ``xi_l``; ``None``: the expectation over the sphere,
        ``|d response / d theta|^2 / d``.
    :returns: a tensor of the shape of each parameter.
    """
    size = len(response)
    if directions is None:
        rows = torch.eye(size, dtype=response.dtype, device=response.device) / math.sqrt(size)
    else:
        rows = fewest_rows(directions)
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    trained = [place for place, parameter in enumerate(parameters) if parameter.requires_grad]
    for last, row in zip([*[False] * (len(rows) - 1), True], rows, strict=True):
        gradients = torch.autograd.grad(
            response @ row,
            [parameters[place] for place in trained],
            retain_graph=not last,
            allow_unused=True,
        )
        for place, gradient in zip(trained, gradients, strict=True):
            if gradient is not None:
                totals[place] += gradient.square()
    return totals

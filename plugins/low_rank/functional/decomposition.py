"""Weights of a new task as scaled base weights plus a low-rank residual (HALRP, sections 4.1-4.2).

Layouts are PyTorch's: ``(J, I)`` for a linear layer, ``(J, I, kh, kw)`` for a convolution, with
``J`` outputs and ``I`` inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cl_strategies.errors import UserError


def least_squares_scales(free: Tensor, base: Tensor, *, sweeps: int = 1) -> tuple[Tensor, Tensor]:
    r"""Compute the scales that bring ``base`` closest to ``free`` (HALRP Eq. 4, 19, 20).

    .. math:: r_j = \frac{\sum_i f_{ji} b_{ji}}{\sum_i b_{ji}^2}, \qquad
              s_i = \frac{\sum_j r_j f_{ji} b_{ji}}{\sum_j (r_j b_{ji})^2}

    For a convolution the sums also run over the kernel. A quotient 0/0, of a row or column of
    ``base`` that is zero, is 0. Sums are computed in float64.

    :param free: freely trained weights, ``(J, I)`` or ``(J, I, kh, kw)``.
    :param base: base weights, of the same shape.
    :param sweeps: how often rows, then columns, are solved; the paper solves them once, which is
        not yet the joint minimum.
    :returns: row ``(J,)`` and column ``(I,)``, in the type of ``free``.
    :raises UserError: for shapes that differ or are neither, or fewer sweeps than one.
    """
    _check_pair(free, base)
    if sweeps < 1:
        raise UserError(f"sweeps is {sweeps}: give 1 or more")
    f, b = free.double(), base.double()
    cross, square = _over_kernel(f * b), _over_kernel(b * b)
    column = cross.new_ones(cross.shape[1])
    for _ in range(sweeps):
        row = _quotient(cross @ column, square @ column**2)
        column = _quotient(row @ cross, row**2 @ square)
    return row.to(free.dtype), column.to(free.dtype)


def residual(free: Tensor, base: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Compute the difference that the scaled base weights leave (HALRP Eq. 4 and 18).

    :param free: ``(J, I)`` or ``(J, I, kh, kw)``.
    :param base: of the same shape.
    :param row: ``(J,)``.
    :param column: ``(I,)``.
    :returns: ``(J, I)``; for a convolution the mean over the kernel, which is the closest
        residual that is constant over it.
    :raises UserError: for shapes that do not fit.
    """
    _check_pair(free, base)
    difference = free - scaled(base, row, column)
    return difference if difference.dim() == 2 else difference.mean(dim=(2, 3))


def materialise(base: Tensor, row: Tensor, column: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Compute the weights of a task, ``R base S + left right`` (HALRP Eq. 6 and 7).

    :param base: ``(J, I)`` or ``(J, I, kh, kw)``.
    :param row: ``(J,)``.
    :param column: ``(I,)``.
    :param left: ``(J, k)``, the left singular vectors times the roots of the singular values.
    :param right: ``(k, I)``; the product is the same at every position of a kernel.
    :returns: of the shape of ``base``.
    :raises UserError: for shapes that do not fit.
    """
    if (left.shape[0], right.shape[1], left.shape[1]) != (*base.shape[:2], right.shape[0]):
        raise UserError(
            f"left {tuple(left.shape)} and right {tuple(right.shape)} do not multiply to "
            f"{tuple(base.shape[:2])}: give (J, k) and (k, I)"
        )
    weight = scaled(base, row, column)
    if base.dim() == 2:
        return torch.addmm(weight, left, right)
    return weight + (left @ right)[:, :, None, None]


def scaled(base: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Scale the rows and the columns of ``base``: ``R base S``.

    :raises UserError: for shapes that do not fit.
    """
    if base.dim() not in (2, 4) or (len(row), len(column)) != tuple(base.shape[:2]):
        raise UserError(
            f"scales of {len(row)} rows and {len(column)} columns do not fit weights of shape "
            f"{tuple(base.shape)}: give (J,) and (I,) for (J, I) or (J, I, kh, kw)"
        )
    kernel = (1,) * (base.dim() - 2)
    return row.view(-1, 1, *kernel) * base * column.view(1, -1, *kernel)


def increment_ratio(out_features: int, in_features: int, rank: int) -> float:
    """Return the parameters that a task adds, relative to the layer's ``J I`` (HALRP, note 4).

    ``((J + I)(k + 1) + k) / (J I)``: scales, singular vectors and singular values.

    :raises UserError: for sizes below 1 or a negative rank.
    """
    if min(out_features, in_features) < 1 or rank < 0:
        raise UserError(
            f"a layer of {out_features} x {in_features} with rank {rank} does not exist"
        )
    both = out_features + in_features
    return (both * (rank + 1) + rank) / (out_features * in_features)


def _over_kernel(tensor: Tensor) -> Tensor:
    return tensor if tensor.dim() == 2 else tensor.sum(dim=(2, 3))


def _quotient(numerator: Tensor, denominator: Tensor) -> Tensor:
    zero = denominator == 0
    return torch.where(zero, 0.0, numerator / torch.where(zero, 1.0, denominator))


def _check_pair(free: Tensor, base: Tensor) -> None:
    if free.shape != base.shape or free.dim() not in (2, 4):
        raise UserError(
            f"weights of shapes {tuple(free.shape)} and {tuple(base.shape)}: give two of the same "
            "shape, (J, I) of a linear layer or (J, I, kh, kw) of a convolution"
        )

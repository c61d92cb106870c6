"""Statistics of a whole tensor or of each of its channels."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_strategies.errors import UserError


def group_dims(x: Tensor, channel: int | None) -> tuple[int, ...]:
    """Return the dimensions to reduce: all, or all but ``channel``.

    :raises UserError: if ``x`` has no such dimension.
    """
    if channel is None:
        return tuple(range(x.dim()))
    if not -x.dim() <= channel < x.dim():
        raise UserError(f"a tensor of shape {tuple(x.shape)} has no dimension {channel}")
    return tuple(dim for dim in range(x.dim()) if dim != channel % x.dim())


def group_size(x: Tensor, dims: tuple[int, ...]) -> int:
    """Count the elements of each group."""
    size = 1
    for dim in dims:
        size *= x.shape[dim]
    return size


def reduce(x: Tensor, dims: tuple[int, ...], how: str) -> Tensor:
    """Reduce by ``"sum"``, ``"mean"``, ``"amax"`` or ``"amin"`` over ``dims``, which are kept.

    Without dimensions there is nothing to reduce (torch would reduce all of them).
    """
    return getattr(x, how)(dims, keepdim=True) if dims else x


def positive(size: Tensor) -> Tensor:
    """Return ``|size|`` of a learned step or clipping value, at least 1e-12: it is divided by."""
    return size.abs().clamp_min(1e-12)


def signed_like(gradient: Tensor, size: Tensor) -> Tensor:
    """Return the gradient of a size whose magnitude has ``gradient``; zero counts as positive."""
    return torch.where(size < 0, -gradient, gradient)


def within(x: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """Return 1 where ``low <= x <= high``, else 0, in the type of ``x``: a new tensor.

    Many times faster on a CPU than a mask of booleans, which is not multiplied in vectors.
    """
    return x.clamp_min(low).clamp_max_(high).eq_(x)  # type: ignore[arg-type]


def standardize(x: Tensor, channel: int | None = None) -> tuple[Tensor, Tensor]:
    """Return ``z = (x - mean) / sigma`` with the unbiased sigma, and ``1 / sigma``.

    Where a group has one element, or is constant up to rounding, both are zero.

    :param x: tensor that is not empty.
    :param channel: dimension whose slices are the groups; ``None``: one group.
    """
    dims = group_dims(x, channel)
    z = x - reduce(x, dims, "mean")
    variance = reduce(z.square(), dims, "sum") / max(group_size(x, dims) - 1, 1)
    sigma = variance.sqrt()
    noise = 8 * torch.finfo(x.dtype).eps * reduce(x.abs(), dims, "amax")
    inverse = torch.where(sigma > noise, 1 / sigma, torch.zeros_like(sigma))
    return z.mul_(inverse), inverse


def standardize_backward(
    gradient: Tensor, z: Tensor, inverse: Tensor, channel: int | None = None
) -> Tensor:
    """Return the gradient of ``x`` given that of ``z``, through mean and sigma.

    ``(u - mean(u) - z * sum(u * z) / (N - 1)) / sigma``: it has neither a part that shifts ``x``
    nor one that scales it.
    """
    dims = group_dims(z, channel)
    along = reduce(gradient * z, dims, "sum") / max(group_size(z, dims) - 1, 1)
    return (gradient - reduce(gradient, dims, "mean")).addcmul_(z, along, value=-1).mul_(inverse)

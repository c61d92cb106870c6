"""Selection of exemplars under a budget, without state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cl_strategies.errors import UserError


def herding_order(features: Tensor, k: int | None = None) -> Tensor:
    """Return indices in the order of herding: each prefix approximates the mean as well as it can.

    Features are scaled to unit length; step ``t`` picks, among those not yet picked, the one that
    brings the mean of the ``t`` picks nearest to the mean of all (Rebuffi et al., "iCaRL",
    CVPR 2017, Algorithm 4, without replacement). Ties go to the lower index.

    :param features: ``(N, d)``.
    :param k: How many to pick; all if ``None``.
    :returns: int64 ``(k,)``.
    :raises UserError: if ``features`` is not a matrix of finite numbers, or ``k`` exceeds ``N``.

    >>> herding_order(torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])).tolist()
    [1, 0, 2]
    """
    return herd(unit_features(features), k)


def herd(vectors: Tensor, k: int | None = None) -> Tensor:
    """Do what :func:`herding_order` does, for vectors that :func:`unit_features` made."""
    count = len(vectors) if k is None else k
    if not 0 <= count <= len(vectors):
        raise UserError(f"k is {k}: there are {len(vectors)} features to order")
    # |t mean - total - v|^2 = |v|^2 - 2 t <v, mean> + 2 <v, total> + what all candidates share
    distance = vectors.square().sum(1).numpy()
    toward_mean = (vectors @ vectors.mean(0)).mul_(2).numpy()
    products = _double_products(vectors)
    order = np.empty(count, dtype=np.int64)
    for step in range(count):
        distance -= toward_mean
        order[step] = pick = distance.argmin()
        distance += products(pick)
        distance[pick] = np.inf
    return torch.from_numpy(order)


def _double_products(vectors: Tensor) -> Callable[[np.intp], npt.NDArray[np.float64]]:
    """Return ``2 <v, v_i>`` for all rows ``v``, from a table unless that took over 32 MiB."""
    if len(vectors) > 2048:
        return lambda i: (vectors @ vectors[int(i)]).mul_(2).numpy()
    table = (vectors @ vectors.T).mul_(2).numpy()
    return table.__getitem__


def closest_order(features: Tensor) -> Tensor:
    """Return indices by distance to the mean of the unit-length features, nearest first.

    :param features: ``(N, d)``.
    :returns: int64 ``(N,)``.
    :raises UserError: if ``features`` is not a matrix of finite numbers.
    """
    return closest(unit_features(features))


def closest(vectors: Tensor) -> Tensor:
    """Do what :func:`closest_order` does, for vectors that :func:`unit_features` made."""
    return (vectors - vectors.mean(0)).square().sum(1).argsort(stable=True)


def unit_features(features: Tensor) -> Tensor:
    """Scale features to unit length: ``f / (|f| + 1e-8)`` in float64 on the CPU, ``(N, d)``.

    :raises UserError: if ``features`` is not a matrix of finite numbers.
    """
    if features.ndim != 2:
        raise UserError(f"features have the shape {tuple(features.shape)}: give (N, d)")
    vectors = features.detach().to("cpu", torch.float64)
    if not vectors.isfinite().all():
        raise UserError("some features are not finite: the network has diverged")
    result: Tensor = vectors / (vectors.norm(dim=1, keepdim=True) + 1e-8)
    return result


def fit_budget(costs: Sequence[float] | Tensor, budget: float) -> int:
    """Return the length of the longest prefix whose summed costs stay within ``budget``.

    It stops at the first item that does not fit, though a later, cheaper one might.

    :param costs: Costs in order of priority, not negative.
    :param budget: Greatest sum, in the same unit.
    :raises UserError: for a negative cost.

    >>> fit_budget([3, 3, 5, 1], 7)
    2
    """
    used = 0.0
    for count, cost in enumerate(costs):
        cost = float(cost)
        if cost < 0:
            raise UserError(f"cost {count} is {cost}: costs cannot be negative")
        used += cost
        if used > budget:
            return count
    return len(costs)


def log_volume(features: Tensor) -> float:
    """Return the log of the volume that the unit-length features span: ``0.5 log det(X X^T)``.

    The criterion by which MRDC chooses how hard to compress (Wang et al., "Memory Replay with
    Data Compression for Continual Learning", ICLR 2022).

    :param features: ``(N, d)`` with ``N <= d`` for a volume above zero.
    :returns: ``-inf`` for features that are linearly dependent up to the rounding of their type, as
        more features than dimensions are; 0 for none.
    :raises UserError: if ``features`` is not a matrix of finite numbers.
    """
    extents = torch.linalg.svdvals(unit_features(features))
    if not len(features):
        return 0.0
    kind = features.dtype if features.is_floating_point() else torch.float64
    rounding = float(extents[0]) * max(features.shape) * torch.finfo(kind).eps
    dependent = len(features) > len(extents) or float(extents[-1]) <= rounding
    return -torch.inf if dependent else float(extents.log().sum())


def log_volume_ratio(features: Tensor, reference: Tensor) -> float:
    """Return the log of the volume that some features span, relative to that of others.

    Where those others are linearly dependent, their volume is 0 and the ratio is taken of
    ``det(I + X X^T)**0.5``: the sum of the squared volumes of all subsets, which normalizes the
    determinantal point process behind the criterion.

    :param features: ``(N, d)``; ``reference``: ``(N, d)``.
    :raises UserError: if one is not a matrix of finite numbers.
    """
    volume = log_volume(reference)
    if volume > -torch.inf:
        return log_volume(features) - volume
    first, second = (torch.linalg.svdvals(unit_features(x)) for x in (features, reference))
    return float(first.square().log1p().sum() - second.square().log1p().sum()) / 2

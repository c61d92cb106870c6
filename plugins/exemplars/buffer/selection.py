"""Order the samples of a group for when not all of them fit.

An order is a number in ``[0, 1)`` per sample, its key: the lowest keys are kept. It is drawn once,
when the samples are met, and stored with the exemplar, so that a memory that shrinks drops from
the end and never needs the network or the rest of the data again. Samples of one group that come
with different experiences are merged by their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import torch
from torch import Tensor

from cl_strategies.errors import unknown_name
from cl_strategies.plugins.exemplars.functional import closest, herd, unit_features
from cl_strategies.plugins.exemplars.options import OrderKind

#: From features ``(n, d)`` to the indices in the order to keep them.
Ranking = Callable[[Tensor], Tensor]

#: Of features of unit length.
_RANKINGS: dict[str, Ranking] = {"herding": herd, "closest-to-mean": closest}
ORDERS: tuple[str, ...] = get_args(OrderKind)


def check_order(order: str | Ranking) -> None:
    """Refuse an order of an unknown name.

    :raises UserError: for an unknown name.
    """
    if isinstance(order, str) and order not in ORDERS:
        raise unknown_name("order", order, ORDERS)


def needs_features(order: str | Ranking) -> bool:
    """Return whether the order depends on the features of the samples."""
    return not isinstance(order, str) or order in _RANKINGS


def draw_keys(
    order: str | Ranking, groups: Sequence[Sequence[int]], count: int, features: Tensor | None
) -> Tensor:
    """Draw a key for each of ``count`` samples.

    ``herding`` and ``closest-to-mean`` rank each group by its features; ``random`` ranks it at
    random. The key of rank ``r`` among ``n`` is ``(r + 0.5) / n``: a class that comes twice is
    filled from both experiences alike. ``reservoir`` draws keys independently and uniformly:
    every sample seen is kept with the same probability.

    :param order: One of :data:`ORDERS`, or a function from features to indices.
    :param groups: The samples of each group.
    :param count: How many samples there are.
    :param features: ``(count, d)``, where :func:`needs_features`.
    :returns: float32 ``(count,)``.
    """
    if order == "reservoir":
        return torch.rand(count)
    keys = torch.zeros(count)
    if features is not None and isinstance(order, str):
        features = unit_features(features)
    for rows in groups:
        index = torch.as_tensor(rows, dtype=torch.int64)
        if features is None:
            ranked = torch.randperm(len(index))
        else:
            ranking = _RANKINGS[order] if isinstance(order, str) else order
            ranked = ranking(features[index])
        keys[index[ranked]] = (torch.arange(len(index), dtype=torch.float32) + 0.5) / len(index)
    return keys

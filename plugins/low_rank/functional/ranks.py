"""Which layer of a network gets how many ranks (HALRP, section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cl_strategies.errors import UserError

#: Equality in "at least alpha of the total" up to rounding of the sums.
_ROUNDING = 1e-12


def select_ranks(
    singular_values: Sequence[Tensor],
    importance: Sequence[float] | Tensor,
    *,
    alpha: float,
    min_rank: int = 0,
    max_rank: int | None = None,
) -> list[int]:
    """Choose ranks that keep ``alpha`` of the importance in the fewest components (HALRP Eq. 11).

    Component ``i`` of layer ``l`` weighs ``importance[l] * sigma[l][i] ** 2``. All components of
    all layers are sorted, and the smallest prefix with at least ``alpha`` of the total weight is
    kept; among equal weights the earlier layer, then the earlier component goes first.
    ``alpha = 1`` keeps every component whose singular value is not zero. If all weights are
    zero, every rank is ``min_rank``.

    :param singular_values: of the residual of each layer, descending.
    :param importance: of each layer, not negative: how much the loss depends on a change of its
        weights, such as :func:`grad_norm` or :func:`fisher_mean`.
    :param alpha: loss approximation rate, from 0 to 1; the paper uses 0.9.
    :param min_rank: ranks below are raised to it (or to the number of singular values)
        afterwards.
    :param max_rank: ranks above are lowered to it afterwards; ``None``: no limit.
    :returns: the rank of each layer.
    :raises UserError: for numbers out of range, lengths that differ, or weights that are not
        finite.
    """
    if not 0 <= alpha <= 1:
        raise UserError(f"alpha is {alpha}: give a rate from 0 to 1")
    if min_rank < 0 or (max_rank is not None and max_rank < min_rank):
        raise UserError(
            f"ranks from {min_rank} to {max_rank} do not exist: give 0 <= min_rank <= max_rank"
        )
    weights = _weights(singular_values, importance)
    if alpha == 1:
        ranks = [int((values > 0).sum()) for values in singular_values]
    else:
        order, layer = _sorted(weights)
        mass = torch.cat(weights)[order].cumsum(0)
        needed = alpha * float(mass[-1]) * (1 - _ROUNDING) if len(mass) else 0.0
        kept = int((mass < needed).sum()) + (needed > 0)
        ranks = torch.bincount(layer[order[:kept]], minlength=len(weights)).tolist()
    highest = [len(values) if max_rank is None else max_rank for values in singular_values]
    return [
        max(min(rank, high), min(min_rank, len(values)))
        for rank, high, values in zip(ranks, highest, singular_values, strict=True)
    ]


def limit_ranks(
    ranks: Sequence[int],
    singular_values: Sequence[Tensor],
    importance: Sequence[float] | Tensor,
    *,
    costs: Sequence[int],
    budget: float,
) -> list[int]:
    """Drop the components that matter least for their size until the rest fits a budget.

    The weight of a component in Eq. 11 is divided by the parameters that it takes, so that the
    budget keeps as much of the weight as it can, up to the one component that no longer fits.

    :param ranks: as chosen by :func:`select_ranks`.
    :param singular_values: as there.
    :param importance: as there.
    :param costs: parameters that one rank of each layer takes, ``J + I``.
    :param budget: parameters that all ranks together may take.
    :returns: ranks, none above ``ranks``.
    """
    weights = _weights(singular_values, importance)
    kept = [values[:rank] / cost for values, rank, cost in zip(weights, ranks, costs, strict=True)]
    order, layer = _sorted(kept)
    spent = torch.tensor(costs, dtype=torch.float64)[layer[order].cpu()].cumsum(0)
    fitting = int((spent <= budget).sum())
    return torch.bincount(layer[order[:fitting]], minlength=len(ranks)).tolist()


def random_components(
    ranks: Sequence[int], available: Sequence[int], *, costs: Sequence[int]
) -> list[Tensor]:
    """Draw as many components at random as ``ranks`` pay for (HALRP Table 6, "random").

    :param ranks: whose total cost must not be exceeded.
    :param available: number of components of each layer.
    :param costs: parameters that one component of each layer takes.
    :returns: the indices to keep in each layer, ascending; drawn from the global generator.
    """
    layer = torch.repeat_interleave(torch.arange(len(available)), torch.tensor(available))
    index = torch.cat([torch.arange(count) for count in available])
    order = torch.randperm(len(layer))
    spent = torch.tensor(costs)[layer[order]].cumsum(0)
    chosen = order[spent <= sum(r * c for r, c in zip(ranks, costs, strict=True))]
    return [index[chosen][layer[chosen] == n].sort().values for n in range(len(available))]


def grad_norm(gradients: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """Compute the importance of the paper: the squared norm of a gradient (HALRP Eq. 10-11).

    :param gradients: of the mean loss of each batch, in the shape of the weights.
    :param sizes: number of samples in each batch.
    :returns: squared norm of the gradient of the mean loss of all samples, float64.
    """
    mean = sum((g.double() * n for g, n in zip(gradients, sizes, strict=True)), torch.tensor(0.0))
    return (mean / sum(sizes)).square().sum()


def fisher_mean(gradients: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """Compute the importance of a layer as the authors' released code does.

    The mean over batches of ``n mean(g ** 2)``: it depends on how samples are divided between
    batches, and not on the size of the layer.

    :param gradients: of the mean loss of each batch, in the shape of the weights.
    :param sizes: number of samples in each batch.
    :returns: scalar, float64.
    """
    terms = [n * g.double().square().mean() for g, n in zip(gradients, sizes, strict=True)]
    return torch.stack(terms).mean()


def _weights(
    singular_values: Sequence[Tensor], importance: Sequence[float] | Tensor
) -> list[Tensor]:
    if len(singular_values) != len(importance) or not len(importance):
        raise UserError(
            f"{len(singular_values)} layers and {len(importance)} importances: give one for each "
            "of at least one layer"
        )
    weights = [
        float(weight) * torch.as_tensor(values).double().square()
        for values, weight in zip(singular_values, importance, strict=True)
    ]
    pool = torch.cat(weights)
    if not bool(torch.isfinite(pool).all()) or bool((pool < 0).any()):
        raise UserError(
            "singular values and importances must be finite and not negative; if they come from "
            "a training, it diverged"
        )
    return weights


def _sorted(weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return positions in the concatenated weights, heaviest first, and their layers."""
    pool = torch.cat(list(weights))
    lengths = torch.tensor([len(values) for values in weights], device=pool.device)
    layers = torch.arange(len(weights), device=pool.device)
    order = torch.argsort(pool, descending=True, stable=True)
    return order, torch.repeat_interleave(layers, lengths)

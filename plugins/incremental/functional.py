"""Losses of the class-incremental methods that live on exemplars, without state.

Classes are numbered in the order in which they came: the first ``n_old`` are old. All functions
return scalars unless they say otherwise, and may be differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, log_softmax, normalize, softmax

from cl_strategies.errors import UserError


def distillation(
    logits: Tensor, teacher: Tensor, *, temperature: float = 2.0, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy between the softened outputs of teacher and student, averaged over samples.

    With ``weights``, the teacher's probabilities are multiplied by them and scaled to sum to one:
    the balanced distillation of FOSTER (Wang et al., ECCV 2022). There is no factor T^2.

    :param logits: of the student, ``(N, C)``.
    :param teacher: logits, ``(N, C)``.
    :param weights: of each class, ``(C,)``.
    """
    target = softmax(teacher / temperature, dim=1)
    if weights is not None:
        target = target * weights
        target = target / target.sum(1, keepdim=True)
    return -(target * log_softmax(logits / temperature, dim=1)).sum(1).mean()


def effective_number_weights(counts: Sequence[int] | Tensor, beta: float) -> Tensor:
    """Return ``(1 - beta) / (1 - beta^n)`` of each class, scaled to mean one (Cui et al., CVPR
    2019).

    FOSTER divides its logits by them: ``cross_entropy(logits / weights, y)``.

    :param counts: training samples of each class, ``(C,)``, positive.
    :param beta: in ``[0, 1)``.
    :returns: float64 ``(C,)``.
    :raises UserError: for a count or ``beta`` out of range.
    """
    numbers = torch.as_tensor(counts, dtype=torch.float64)
    if not 0 <= beta < 1 or (numbers < 1).any():
        raise UserError(f"beta is {beta} and counts {list(counts)}: beta < 1, counts 1 or more")
    weights = (1 - beta) / (1 - beta**numbers)
    return weights * len(weights) / weights.sum()


def align_weights(weights: Tensor, n_old: int, *, value: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return the weights of new classes scaled to the mean norm of the old (WA, Zhao et al., CVPR
    2020).

    :param weights: of a classifier without bias, ``(C, d)``.
    :param n_old: old classes, at least one and fewer than ``C``.
    :param value: FOSTER multiplies the factor by ``value**(n_old / n_new)``.
    :returns: the weights ``(C, d)``, and the factor.
    :raises UserError: if all classes are old, or none.
    """
    if not 0 < n_old < len(weights):
        raise UserError(f"{n_old} of {len(weights)} classes are old: there must be both kinds")
    old, new = weights[:n_old], weights[n_old:]
    factor = old.norm(dim=1).mean() / new.norm(dim=1).mean() * value ** (n_old / len(new))
    return torch.cat([old, new * factor]), factor


def feature_distillation(features: Tensor, old: Tensor) -> Tensor:
    """Return ``1 - cos`` between new and old features, averaged: LUCIR's less-forget loss,
    POD-flat.

    :param features: ``(N, d)``.
    :param old: ``(N, d)``.
    """
    return (1 - cosine_similarity(features, old, dim=1)).mean()


def adaptive_weight(base: float, n_old: int, n_new: int) -> float:
    """LUCIR's weight of the less-forget loss: ``base * sqrt(n_old / n_new)``.

    Hou et al., "Learning a Unified Classifier Incrementally via Rebalancing", CVPR 2019, Eq. 7.
    """
    result: float = base * (n_old / n_new) ** 0.5
    return result


def margin_ranking(
    cosines: Tensor, targets: Tensor, n_old: int, *, k: int = 2, margin: float = 0.5
) -> Tensor:
    """LUCIR's inter-class separation (Eq. 8): old samples keep away from the nearest new classes.

    :param cosines: between features and class embeddings, before the scale, ``(N, C)``.
    :param targets: ``(N,)``.
    :param n_old: old classes; samples of other classes do not count.
    :param k: how many of the nearest new classes.
    :returns: the mean of ``max(0, margin - s_y + s_k)``; 0 without old samples.
    """
    rows = targets < n_old
    if not rows.any():
        return cosines.sum() * 0
    own = cosines[rows].gather(1, targets[rows, None])
    nearest = cosines[rows][:, n_old:].topk(min(k, cosines.shape[1] - n_old), dim=1).values
    return (margin - own + nearest).clamp_min(0).mean()


def pod_spatial(maps: Sequence[Tensor], old: Sequence[Tensor]) -> Tensor:
    """PODNet's distillation of pooled feature maps (Douillard et al., ECCV 2020, Eq. 5).

    Squared maps are summed over the width and over the height; both together are scaled to unit
    length and compared by their distance, averaged over samples and stages.

    :param maps: one ``(N, C, h, w)`` per stage.
    :param old: those of the old network.
    """
    gaps = [
        (_pooled(new) - _pooled(before)).norm(dim=1).mean()
        for new, before in zip(maps, old, strict=True)
    ]
    return torch.stack(gaps).mean()


def _pooled(maps: Tensor) -> Tensor:
    squared = maps.square()
    pooled = torch.cat([squared.sum(3).flatten(1), squared.sum(2).flatten(1)], dim=1)
    return normalize(pooled, dim=1)


def local_similarity(features: Tensor, proxies: Tensor, per_class: int) -> Tensor:
    """PODNet's local similarity classifier: each class by several proxies.

    :param features: ``(N, d)``.
    :param proxies: ``(C * per_class, d)``, those of a class together.
    :param per_class: proxies of a class.
    :returns: logits ``(N, C)``: the mean of the cosines, weighted by their softmax.
    """
    cosines = normalize(features, dim=1) @ normalize(proxies, dim=1).T
    cosines = cosines.unflatten(1, (-1, per_class))
    result: Tensor = (softmax(cosines, dim=2) * cosines).sum(2)
    return result


def nca(logits: Tensor, targets: Tensor, *, margin: float = 0.6, released: bool = False) -> Tensor:
    """PODNet's NCA loss: ``max(0, -log(exp(s_y - margin) / sum of exp(s_c) over c != y))``.

    :param logits: already scaled, ``(N, C)``.
    :param targets: ``(N,)``.
    :param margin: delta.
    :param released: as the public implementations compute it: the margin cancels, and the
        denominator has an extra term of one.
    """
    own = logits.gather(1, targets[:, None])
    others = logits.scatter(1, targets[:, None], -torch.inf)
    if released:
        top = logits.amax(1, keepdim=True)
        shifted = (others - top).exp().sum(1) + 1
        return (shifted.log() - (own - top)[:, 0]).clamp_min(0).mean()
    return (others.logsumexp(1) - own[:, 0] + margin).clamp_min(0).mean()


def auxiliary_targets(targets: Tensor, n_old: int) -> Tensor:
    """DER's labels for its auxiliary head: 0 for every old class, then the new ones.

    Yan, Xie, He, "Dynamically Expandable Representation", CVPR 2021.
    """
    return (targets - n_old + 1).clamp_min(0)

"""Prototype-sample relation distillation (Asadi, Davari, Mudur, Aljundi, Belilovsky,
"Prototype-Sample Relation Distillation: Towards Replay-Free Continual Learning", ICML 2023), with
the supervised contrastive loss of Khosla et al., NeurIPS 2020.

A score is what a feature vector has in the direction of a prototype, ``f . p / |p|``: prototypes
are compared by their directions, and the length of the features is a temperature.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_strategies.errors import UserError


def supervised_contrastive_loss(
    views: Tensor, labels: Tensor, *, temperature: float = 0.1, base_temperature: float = 0.07
) -> Tensor:
    """Return how far each view is from the other views of its class, among all other views.

    With ``s_ab = z_a . z_b / T`` of the normalized views, the loss of view ``a`` is ``-T / T_b``
    times the mean over the other views ``b`` of its class of ``s_ab - log sum_{c != a} exp s_ac``
    (Khosla et al., the sum over positives outside the logarithm). It is averaged over all views.

    :param views: ``(N, V, d)``, ``V`` views of each sample, at least two; normalized here.
    :param labels: ``(N,)``.
    :param temperature: ``T``, above 0.
    :param base_temperature: ``T_b``, above 0.
    :returns: a scalar.
    :raises UserError: for fewer than two views, no sample, or as many labels as there are samples
        not.

    >>> z = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    >>> loss = supervised_contrastive_loss(
    ...     z, torch.tensor([0, 1]), temperature=1.0, base_temperature=1.0
    ... )
    >>> round(loss.item(), 4)  # log(1 + 2 / e)
    0.5514
    """
    if views.ndim != 3 or views.shape[1] < 2 or not len(views) or labels.shape != views.shape[:1]:
        raise UserError(
            f"the views have the shape {tuple(views.shape)} and the labels {tuple(labels.shape)}: "
            "give views (N, V, d), at least two of each of at least one sample, and labels (N,)"
        )
    directions = F.normalize(views.flatten(0, 1), dim=1)
    classes = labels.repeat_interleave(views.shape[1])
    itself = torch.eye(len(classes), dtype=torch.bool, device=views.device)
    similarities = (directions @ directions.T / temperature).masked_fill(itself, -torch.inf)
    log_probability = F.log_softmax(similarities, dim=1).masked_fill(itself, 0.0)
    positive = ((classes[:, None] == classes) & ~itself).to(log_probability)
    per_view = (log_probability * positive).sum(1) / positive.sum(1)
    return -(temperature / base_temperature) * per_view.mean()


def prototype_loss(features: Tensor, prototypes: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of ``1 - cos(f, p_y)``, which turns prototypes towards their samples (Eq. 4).

    :param features: ``(N, d)``; they get no gradient.
    :param prototypes: ``(C, d)``.
    :param labels: ``(N,)``, rows of ``prototypes``.
    :returns: a scalar from 0 to 2.
    """
    return (1 - F.cosine_similarity(features.detach(), prototypes[labels], dim=1)).mean()


def prototype_scores(features: Tensor, prototypes: Tensor) -> Tensor:
    """Return ``f . p_c / |p_c|`` for every sample and prototype.

    :param features: ``(N, d)``.
    :param prototypes: ``(C, d)``.
    :returns: ``(N, C)``.
    """
    return F.linear(features, F.normalize(prototypes, dim=1))


def nearest_prototype(features: Tensor, prototypes: Tensor) -> Tensor:
    """Return the prototype with the largest score of each sample, also the largest cosine.

    :param features: ``(N, d)``.
    :param prototypes: ``(C, d)``.
    :returns: rows of ``prototypes``, ``(N,)``.
    """
    return prototype_scores(features, prototypes).argmax(1)


def relation_distillation(
    features: Tensor,
    prototypes: Sequence[Tensor],
    old_features: Tensor,
    old_prototypes: Sequence[Tensor],
    *,
    temperature: float = 1.0,
) -> Tensor:
    """Return how much the relations of samples to the prototypes of earlier tasks have changed.

    The sum over earlier tasks of the mean over samples of ``KL(q || p)``, where ``q`` and ``p`` are
    softmaxes of the scores over the temperature, ``q`` of the old network with its prototypes
    (Eq. 6). Features and prototypes both move to keep it small.

    :param features: ``(N, d)``.
    :param prototypes: ``(C_i, d)`` of each earlier task ``i``.
    :param old_features: ``(N, d)`` of the same samples, by the old network; no gradient.
    :param old_prototypes: ``(C_i, d)``, as they were; no gradient.
    :param temperature: above 0; the loss is not multiplied by its square.
    :returns: a scalar in nats; 0 without earlier tasks.
    :raises UserError: if not every task has old prototypes.
    """
    if len(prototypes) != len(old_prototypes):
        raise UserError(
            f"there are prototypes of {len(prototypes)} tasks, and of {len(old_prototypes)} from "
            "before: give both for every earlier task"
        )
    total = features.new_zeros(())
    for new, old in zip(prototypes, old_prototypes, strict=True):
        with torch.no_grad():
            target = F.log_softmax(prototype_scores(old_features, old) / temperature, dim=1)
        found = F.log_softmax(prototype_scores(features, new) / temperature, dim=1)
        total = total + F.kl_div(found, target, reduction="batchmean", log_target=True)
    return total

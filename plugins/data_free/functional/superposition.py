"""Images between classes, and what a generator and a quantized network learn from them (Qimera)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.data_free.functional.statistics import batch_statistics_loss


def superposed_labels(labels: Tensor, weights: Tensor, classes: int) -> Tensor:
    """Put the weights of each sample on its classes (Qimera, Eq. 7).

    :param labels: class ids ``(N, M)``; a class that was drawn twice gets both weights.
    :param weights: ``(N, M)``, each row of sum 1.
    :param classes: number of classes, C.
    :returns: soft labels ``(N, C)``.
    :raises UserError: for shapes that differ, or a label that is no class.

    >>> superposed_labels(torch.tensor([[0, 2]]), torch.tensor([[0.25, 0.75]]), 3)
    tensor([[0.2500, 0.0000, 0.7500]])
    """
    if labels.shape != weights.shape or labels.ndim != 2:
        raise UserError(
            f"labels have the shape {tuple(labels.shape)} and weights {tuple(weights.shape)}: "
            "give both as (N, M)"
        )
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UserError(f"labels are from {labels.min()} to {labels.max()}, classes {classes}")
    return weights.new_zeros(len(labels), classes).scatter_add(1, labels, weights)


def superposed_embedding(embeddings: Tensor, weights: Tensor) -> Tensor:
    """Add up embeddings of classes by their weights (Qimera, Eq. 6).

    :param embeddings: ``(N, M, d)``.
    :param weights: ``(N, M)``.
    :returns: ``(N, d)``.
    """
    return (embeddings * weights[:, :, None]).sum(1)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over samples of ``-sum_c t log softmax``.

    :param logits: ``(N, C)``.
    :param targets: probabilities ``(N, C)``.
    """
    return -(targets * torch.log_softmax(logits, 1)).sum(1).mean()


def generator_loss(
    logits: Tensor,
    targets: Tensor,
    activations: Sequence[Tensor],
    means: Sequence[Tensor],
    variances: Sequence[Tensor],
    *,
    weight: float = 0.1,
) -> Tensor:
    """Return what the generator learns from the trained network (Qimera, Eq. 5).

    :func:`soft_cross_entropy` of the trained network's logits, and ``weight`` times
    :func:`~cl_strategies.plugins.data_free.functional.batch_statistics_loss`.

    :param logits: of the trained network ``(N, C)``.
    :param targets: soft labels ``(N, C)``.
    :param activations: what each BatchNorm is given, ``(B, C, ...)``.
    :param means: running means ``(C,)``.
    :param variances: running variances ``(C,)``.
    """
    statistics = batch_statistics_loss(activations, means, variances)
    return soft_cross_entropy(logits, targets) + weight * statistics


def distillation_loss(
    logits: Tensor,
    targets: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float = 20.0,
    alpha: float = 1.0,
) -> Tensor:
    """Return what the quantized network learns (Qimera, Eq. 3; IntraQ, Eq. 12).

    :func:`soft_cross_entropy` plus ``alpha T**2`` times the mean over samples and classes of
    ``q (log q - log p)`` with ``q = softmax(teacher / T)`` and ``p = softmax(student / T)``.

    :param logits: of the quantized network ``(N, C)``.
    :param targets: soft labels ``(N, C)``.
    :param teacher_logits: of the trained network ``(N, C)``.
    :param temperature: T.
    :param alpha: weight of the second term.
    """
    log_p = torch.log_softmax(logits / temperature, 1)
    log_q = torch.log_softmax(teacher_logits / temperature, 1)
    divergence = (log_q.exp() * (log_q - log_p)).mean()
    return soft_cross_entropy(logits, targets) + alpha * temperature**2 * divergence

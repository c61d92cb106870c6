"""What keeps the images of one class different from each other (IntraQ)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def target_probability_loss(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of ``(softmax_y - target)**2``: no image has to be certain (IntraQ, Eq. 10).

    :param logits: ``(N, C)``.
    :param labels: class ids ``(N,)``.
    :param targets: probability that each image is to have of its class ``(N,)``.
    """
    reached = torch.softmax(logits, 1).gather(1, labels[:, None])[:, 0]
    return (reached - targets).square().mean()


def class_distance_penalty(
    features: Tensor,
    class_means: Tensor,
    seen: Tensor,
    *,
    lower: float = 0.02,
    upper: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Keep features within two cosine distances of the mean of their class (IntraQ, Eq. 8).

    :param features: ``(N, d)``.
    :param class_means: mean feature of each sample's class so far ``(N, d)``.
    :param seen: whether there is one ``(N,)``; others do not count.
    :param lower: smallest distance ``1 - cos`` that costs nothing.
    :param upper: largest distance that costs nothing.
    :returns: the mean of ``[lower - d]_+`` and of ``[d - upper]_+`` over the samples seen; zero if
        there are none.

    >>> x = torch.ones(1, 2)
    >>> class_distance_penalty(x, x, torch.tensor([True]), lower=0.5)
    (tensor(0.5000), tensor(0.))
    """
    distances = 1 - F.cosine_similarity(features, class_means, dim=1)
    count = seen.sum().clamp_min(1)
    close = torch.where(seen, (lower - distances).clamp_min(0), 0).sum() / count
    far = torch.where(seen, (distances - upper).clamp_min(0), 0).sum() / count
    return close, far

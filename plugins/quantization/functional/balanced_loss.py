"""LifeQuant's BaLL loss (Theorem 5.3): the cross-entropy of logits that are rebalanced for how
often each class is trained on."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_strategies.errors import UserError, unknown_name

BalancedForm = Literal["probability", "logit", "released", "prior"]


def balanced_logits(
    logits: Tensor,
    class_counts: Tensor,
    *,
    form: BalancedForm = "probability",
    max_ratio: float | None = None,
) -> Tensor:
    """Return ``phi + log s`` of Theorem 5.3.

    ``p_j`` is the share of class ``j`` in the training data, which have ``K`` classes.

    ``"logit"``, the theorem literally: ``log s = phi * (1 / (K p) - 1)``, hence ``phi / (K p)``; a
    negative logit of a rare class becomes still more negative, and shifting all logits changes the
    result. ``"probability"``, the theorem's proof, where ``phi`` in ``s`` is the probability of the
    class: ``log s = softmax(phi) * (1 / (K p) - 1)``, bounded. ``"released"``, the authors' code:
    ``phi + softmax(phi) / (K p + 1)``. ``"prior"``, not LifeQuant's: ``phi + log(K p)``, the
    balanced softmax of Ren et al. (NeurIPS 2020). For balanced classes all but the released form
    are ``phi``.

    LifeQuant's forms raise the logit of a rare class. A network that is trained so and then
    predicts by ``phi`` itself has learned to keep that logit lower than without; the balanced
    softmax does the opposite.

    A class without samples counts neither in ``K`` nor in the softmax, and keeps its logit (in the
    released form: a weight of 1, among all classes).

    :param logits: logits ``(N, C)``.
    :param class_counts: ``(C,)`` training samples of each class, new and replayed.
    :param form: ``"probability"``, ``"logit"``, ``"released"`` or ``"prior"``.
    :param max_ratio: largest ``1 / (K p)``; ``None``: no bound.
    :returns: ``(N, C)``; ``p`` is a constant of the gradient.
    :raises UserError: for another form, or counts that do not fit.

    >>> balanced_logits(torch.tensor([[2.0, 1.0]]), torch.tensor([3, 1]), form="logit")
    tensor([[1.3333, 2.0000]])
    """
    if form not in get_args(BalancedForm):
        raise unknown_name("form of the balanced loss", form, get_args(BalancedForm))
    counts = check_counts(class_counts, logits)
    seen = counts > 0
    share = counts / counts.sum()
    if form == "released":
        weight = torch.where(seen, 1 / (share * len(counts) + 1), 1.0)
        return logits + logits.softmax(1) * weight
    relative = torch.where(seen, share * seen.sum(), 1.0)
    if form == "prior":
        return logits + relative.log()
    ratio = 1 / relative
    if max_ratio is not None:
        ratio = ratio.clamp_max(max_ratio)
    if form == "logit":
        return logits * ratio
    probability = logits.masked_fill(~seen, -torch.inf).softmax(1)
    return logits + probability * (ratio - 1)


def balanced_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_counts: Tensor,
    *,
    form: BalancedForm = "probability",
    max_ratio: float | None = None,
) -> Tensor:
    """Return the mean cross-entropy of :func:`balanced_logits`, without classes of no samples.

    :param logits: logits ``(N, C)``.
    :param labels: ``(N,)`` class ids, each with samples.
    :param class_counts: ``(C,)`` training samples of each class.
    :param form: as in :func:`balanced_logits`; the released form leaves no class out.
    :param max_ratio: largest ``1 / (K p)``, as in :func:`balanced_logits`.
    :raises UserError: as there.
    """
    adjusted = balanced_logits(logits, class_counts, form=form, max_ratio=max_ratio)
    if form != "released":
        adjusted = adjusted.masked_fill(class_counts.to(logits.device) <= 0, -torch.inf)
    return F.cross_entropy(adjusted, labels)


def check_counts(class_counts: Tensor, logits: Tensor) -> Tensor:
    """Convert ``class_counts`` to the type of ``logits`` (float32 at least).

    :raises UserError: if they are not one number per logit.
    """
    if logits.dim() != 2 or class_counts.shape != logits.shape[1:]:
        raise UserError(
            f"class_counts has shape {tuple(class_counts.shape)} and the logits "
            f"{tuple(logits.shape)}: give logits (N, C) and one count for each of the C classes"
        )
    return class_counts.to(logits.device, torch.promote_types(logits.dtype, torch.float32))

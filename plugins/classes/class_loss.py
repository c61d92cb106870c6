"""Cross-entropy where some classes have no logit yet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from cl_strategies.errors import UserError
from cl_strategies.plugins.classes.class_order import ABSENT


class PresentClassesLoss(nn.CrossEntropyLoss):
    """PyTorch's cross-entropy over the classes whose logit is not ``ABSENT``.

    Label smoothing divides its share of the target between these classes; PyTorch would put a part
    of it on classes that are ruled out, each with a loss of 1,000, and push all other logits down.
    Class weights may be those of more classes than there are logits so far.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """:param input: logits ``(N, C)``. :param target: class ids ``(N,)``.

        :returns: as :class:`torch.nn.CrossEntropyLoss`; other shapes, and targets that are
            probabilities, are left to it.
        :raises UserError: if there are fewer weights than logits.
        """
        if input.ndim != 2 or target.is_floating_point():
            return super().forward(input, target)
        weight = self._weight(input)
        counted = target != self.ignore_index
        labels = torch.where(counted, target, 0)
        logs = log_softmax(input, 1)
        loss = -logs.gather(1, labels[:, None])[:, 0] * weight[labels]
        if self.label_smoothing:
            present = input != ABSENT
            spread = -(torch.where(present, logs, 0) * weight).sum(1) / present.sum(1).clamp_min(1)
            loss = (1 - self.label_smoothing) * loss + self.label_smoothing * spread
        loss = torch.where(counted, loss, 0)
        if self.reduction == "none":
            return loss
        total = loss.sum()
        return total / (weight[labels] * counted).sum() if self.reduction == "mean" else total

    def extra_repr(self) -> str:
        return f"weight={self.weight}, label_smoothing={self.label_smoothing}"

    def _weight(self, logits: Tensor) -> Tensor:
        classes = logits.shape[1]
        if self.weight is None:
            return logits.new_ones(classes)
        if len(self.weight) < classes:
            raise UserError(
                f"the criterion has weights for {len(self.weight)} classes, and there are "
                f"{classes} logits: give a weight for each class of the stream"
            )
        return self.weight[:classes].to(logits)


def over_present_classes(criterion: Any) -> Any:
    """Return a criterion that classes without a logit do not change, in place of ``criterion``.

    :param criterion: a :class:`torch.nn.CrossEntropyLoss` with class weights or label smoothing is
        replaced by a :class:`PresentClassesLoss`; anything else is returned as it is.
    """
    if type(criterion) is not nn.CrossEntropyLoss or is_plain(criterion):
        return criterion
    return PresentClassesLoss(
        weight=criterion.weight,
        ignore_index=criterion.ignore_index,
        reduction=criterion.reduction,
        label_smoothing=criterion.label_smoothing,
    )


def is_plain(criterion: Any) -> bool:
    """Return whether ``criterion`` is cross-entropy that treats all classes alike."""
    return (
        isinstance(criterion, nn.CrossEntropyLoss)
        and criterion.weight is None
        and not criterion.label_smoothing
    )

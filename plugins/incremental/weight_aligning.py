"""WA (Zhao, Xiao, Gan, Zhang, Xia, "Maintaining Discrimination and Fairness in Class Incremental
Learning", CVPR 2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl_strategies.plugins.exemplars.losses import align_weights
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.ranges import positive


class WeightAligningMethod(IncrementalMethod[IncrementalNetwork]):
    """Distillation, then the rows of new classes scaled to the mean norm of the old.

    :param temperature: of the distillation, whose weight is the share of old classes.
    :param align: whether rows are scaled.
    """

    def __init__(self, *, temperature: float = 2.0, align: bool = True) -> None:
        positive(temperature=temperature)
        super().__init__()
        self.temperature = temperature
        self.align = align

    def loss(self, strategy: Any, outputs: Outputs, x: Tensor, units: Tensor) -> Tensor:
        loss = super().loss(strategy, outputs, x, units)
        if self.old is None:
            return loss
        share = self.n_old / outputs.scores.shape[1]
        return (1 - share) * loss + share * self.distilled(outputs, x, self.temperature)

    def finish(self, strategy: Any) -> None:
        if self.align:
            align_classifier(strategy.model.classifier)


@torch.no_grad()
def align_classifier(classifier: Classifier, *, value: float = 1.0) -> float:
    """Scale the rows of new classes; biases are left alone.

    :param value: see :func:`~cl_strategies.plugins.exemplars.losses.align_weights`.
    :returns: the factor; 1 if there are no old classes.
    """
    if not len(classifier.old):
        return 1.0
    _, factor = align_weights(classifier.weight, len(classifier.old), value=value)
    classifier.new.mul_(factor)
    return float(factor)

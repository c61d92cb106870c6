"""WA (Zhao, Xiao, Gan, Zhang, Xia, "Maintaining Discrimination and Fairness in Class Incremental
Learning", CVPR 2020)."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.functional import align_weights
from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.plugins.incremental.options import (
    Temperature,
)
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class WeightAligningMethod(IncrementalMethod[IncrementalNetwork]):
    """Distillation, then the rows of new classes scaled to the mean norm of the old.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        temperature: Temperature = 2.0,
        align: Annotated[
            bool, Doc("Scale the rows of new classes to the mean norm of the old ones.")
        ] = True,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.align = align

    def loss(
        self, strategy: IncrementalStrategy, outputs: Outputs, x: Tensor, indices: Tensor
    ) -> Tensor:
        loss = super().loss(strategy, outputs, x, indices)
        if self.old is None:
            return loss
        share = self.n_old / outputs.logits.shape[1]
        return (1 - share) * loss + share * self.distilled(outputs, x, self.temperature)

    def finish(self, strategy: IncrementalStrategy) -> None:
        if self.align:
            align_classifier(strategy.model.classifier)


@torch.no_grad()
def align_classifier(classifier: Classifier, *, value: float = 1.0) -> float:
    """Scale the rows of new classes; biases are left alone.

    :param value: see :func:`~cl_strategies.plugins.incremental.functional.align_weights`.
    :returns: the factor; 1 if there are no old classes.
    """
    if not len(classifier.old):
        return 1.0
    _, factor = align_weights(classifier.weight, len(classifier.old), value=value)
    classifier.new.mul_(factor)
    return float(factor)

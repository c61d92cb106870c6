"""iCaRL (Rebuffi, Kolesnikov, Sperl, Lampert, "iCaRL: Incremental Classifier and Representation
Learning", CVPR 2017)."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from typing_extensions import Doc

from cl_strategies.plugins.exemplars.functional import unit_features
from cl_strategies.plugins.features.extraction import extract_features, wide
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.plugins.incremental.options import (
    DistillationWeight,
    Temperature,
)
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


class NearestMeanNetwork(IncrementalNetwork):
    """Classifies, when evaluated, by the nearest mean of the exemplars' features.

    :ivar means: of unit length, ``(C, d)``; until they are known, the linear classifier decides.
    """

    means: Tensor

    def __init__(self, backbone: nn.Module, n_features: int) -> None:
        super().__init__(backbone, Classifier(n_features))
        self.register_buffer("means", torch.empty(0, n_features))

    def grow(self, classes: Any) -> None:
        super().grow(classes)
        self.means = self.means.new_empty(0, self.classifier.n_features)

    def predictions(self, outputs: Outputs) -> Tensor:
        """Negative squared distances, ``(N, C)``."""
        if self.training or not len(self.means):
            return outputs.logits
        features, means = (wide(part) for part in (outputs.features, self.means))
        return -torch.cdist(normalize(features, dim=1), means).square().to(outputs.logits)


@hyperparameters
class ICaRLMethod(IncrementalMethod[NearestMeanNetwork]):
    """Distillation, and classification by the nearest mean of exemplars.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        temperature: Temperature = 2.0,
        distillation_weight: DistillationWeight = 1.0,
        nearest_mean: Annotated[
            bool,
            Doc("Classify by the nearest mean of exemplars; ``False``: by the linear layer."),
        ] = True,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.distillation_weight = distillation_weight
        self.nearest_mean = nearest_mean

    def network(self, backbone: nn.Module, n_features: int) -> NearestMeanNetwork:
        return NearestMeanNetwork(backbone, n_features)

    def rebuild(self, network: NearestMeanNetwork, experiences: Any, structure: Any) -> None:
        super().rebuild(network, experiences, structure)
        if self.nearest_mean and network.order:
            shape = len(network.order), network.classifier.n_features
            network.means = network.means.new_empty(shape)

    def loss(
        self, strategy: IncrementalStrategy, outputs: Outputs, x: Tensor, indices: Tensor
    ) -> Tensor:
        loss = super().loss(strategy, outputs, x, indices)
        if self.old is None:
            return loss
        return loss + self.distillation_weight * self.distilled(outputs, x, self.temperature)

    def conclude(self, strategy: IncrementalStrategy) -> None:
        super().conclude(strategy)
        if self.nearest_mean:
            network: NearestMeanNetwork = strategy.model
            network.means = class_means(strategy, network).to(network.means)


def class_means(strategy: IncrementalStrategy, network: IncrementalNetwork) -> Tensor:
    """Means of the unit-length features of the exemplars of each class, of unit length, ``(C, d)``.

    A class without exemplars has a mean of zero.
    """
    memory = strategy.memory.memory
    features = unit_features(extract_features(strategy, memory.buffer))
    indices = network.index_of(torch.tensor([record.label for record in memory.records])).cpu()
    means = features.new_zeros(len(network.order), features.shape[1])
    return normalize(means.index_add(0, indices, features), dim=1)

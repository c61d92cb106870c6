"""LUCIR (Hou, Pan, Loy, Wang, Lin, "Learning a Unified Classifier Incrementally via Rebalancing",
CVPR 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import normalize
from typing_extensions import Doc

from cl_strategies.plugins.features.extraction import extract_features
from cl_strategies.plugins.incremental.balanced import BalancedMethod
from cl_strategies.plugins.incremental.classifiers import CosineClassifier
from cl_strategies.plugins.incremental.functional import (
    adaptive_weight,
    feature_distillation,
    margin_ranking,
)
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class LUCIRMethod(BalancedMethod[IncrementalNetwork]):
    """Cosine classifier, less-forget constraint, and margins between old and new classes.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        less_forget: Annotated[
            float,
            Ge(0),
            Doc(
                "Base weight lambda_base of the less-forget loss, which grows with the ratio of "
                "old to new classes; 5 for CIFAR-100, 10 for ImageNet."
            ),
        ] = 5.0,
        ranking: Annotated[float, Ge(0), Doc("Weight of the margin ranking loss.")] = 1.0,
        margin: Annotated[float, Doc("Margin of the ranking loss, a difference of cosines.")] = 0.5,
        nearest: Annotated[
            int,
            Ge(1),
            Doc("How many of the nearest new classes an old sample keeps away from."),
        ] = 2,
        imprint: Annotated[
            bool, Doc("Start the rows of new classes from the means of their features.")
        ] = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.less_forget = less_forget
        self.ranking = ranking
        self.margin = margin
        self.nearest = nearest
        self.imprint = imprint

    def network(self, backbone: nn.Module, n_features: int) -> IncrementalNetwork:
        return IncrementalNetwork(backbone, CosineClassifier(n_features))

    def begin(self, strategy: IncrementalStrategy, classes: Sequence[int]) -> None:
        super().begin(strategy, classes)
        if self.old is not None and self.imprint:
            imprint_means(strategy)

    def loss(
        self, strategy: IncrementalStrategy, outputs: Outputs, x: Tensor, indices: Tensor
    ) -> Tensor:
        loss = super().loss(strategy, outputs, x, indices)
        if self.old is None:
            return loss
        n_new = outputs.logits.shape[1] - self.n_old
        kept = feature_distillation(outputs.features, self.old.outputs(x).features)
        cosines = strategy.model.classifier.cosines(outputs.features)
        apart = margin_ranking(cosines, indices, self.n_old, k=self.nearest, margin=self.margin)
        return (
            loss
            + adaptive_weight(self.less_forget, self.n_old, n_new) * kept
            + self.ranking * apart
        )


@torch.no_grad()
def imprint_means(strategy: IncrementalStrategy) -> None:
    """Set the rows of new classes to the means of their unit-length features.

    They get the mean norm of the old rows.
    """
    network, dataset = strategy.model, strategy.experience.dataset
    classifier = network.classifier
    features = normalize(extract_features(strategy, dataset), dim=1)
    indices = network.index_of(torch.tensor(list(dataset.targets), device=network.device)).cpu()
    indices -= len(classifier.old)
    fresh = indices >= 0
    means = features.new_zeros(len(classifier.new), features.shape[1])
    means.index_add_(0, indices[fresh], features[fresh])
    norm = classifier.old.norm(dim=1).mean()
    classifier.new.copy_(normalize(means, dim=1).to(classifier.new) * norm)

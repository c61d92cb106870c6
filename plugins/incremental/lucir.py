"""LUCIR (Hou, Pan, Loy, Wang, Lin, "Learning a Unified Classifier Incrementally via Rebalancing",
CVPR 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from cl_strategies.plugins.exemplars.features import extract_features
from cl_strategies.plugins.exemplars.losses import (
    adaptive_weight,
    feature_distillation,
    margin_ranking,
)
from cl_strategies.plugins.incremental.classifiers import CosineClassifier
from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.plugins.incremental.rates import check_schedule
from cl_strategies.plugins.incremental.training import train_part
from cl_strategies.plugins.modes import evaluating
from cl_strategies.ranges import not_negative, positive


class LUCIRMethod(IncrementalMethod[IncrementalNetwork]):
    """Cosine classifier, less-forget constraint, and margins between old and new classes.

    :param less_forget: base weight of the less-forget loss, lambda_base; it grows with the ratio
        of old to new classes.
    :param ranking: weight of the margin ranking loss.
    :param margin: of that loss.
    :param nearest: how many of the nearest new classes an old sample keeps away from.
    :param imprint: start the rows of new classes from the means of their features.
    :param balance_epochs: epochs of training the classifier alone on the exemplars of all classes
        at the end of a phase.
    :param balance_lr: their first learning rate.
    :param balance_schedule: of it: ``"run"``, stretched over those epochs, or ``"constant"``.
    """

    def __init__(
        self,
        *,
        less_forget: float = 5.0,
        ranking: float = 1.0,
        margin: float = 0.5,
        nearest: int = 2,
        imprint: bool = True,
        balance_epochs: int = 0,
        balance_lr: float = 0.01,
        balance_schedule: str = "run",
    ) -> None:
        check_schedule(balance_schedule=balance_schedule)
        not_negative(less_forget=less_forget, ranking=ranking, balance_epochs=balance_epochs)
        positive(nearest=nearest, balance_lr=balance_lr)
        super().__init__()
        self.less_forget = less_forget
        self.ranking = ranking
        self.margin = margin
        self.nearest = nearest
        self.imprint = imprint
        self.balance_epochs = balance_epochs
        self.balance_lr = balance_lr
        self.balance_schedule = balance_schedule

    def network(self, backbone: nn.Module, n_features: int) -> IncrementalNetwork:
        return IncrementalNetwork(backbone, CosineClassifier(n_features))

    def begin(self, strategy: Any, classes: Sequence[int]) -> None:
        super().begin(strategy, classes)
        if self.old is not None and self.imprint:
            imprint_means(strategy)

    def loss(self, strategy: Any, outputs: Outputs, x: Tensor, units: Tensor) -> Tensor:
        loss = super().loss(strategy, outputs, x, units)
        if self.old is None:
            return loss
        n_new = outputs.scores.shape[1] - self.n_old
        kept = feature_distillation(outputs.features, self.old.outputs(x).features)
        cosines = strategy.model.classifier.cosines(outputs.features)
        apart = margin_ranking(cosines, units, self.n_old, k=self.nearest, margin=self.margin)
        return (
            loss
            + adaptive_weight(self.less_forget, self.n_old, n_new) * kept
            + self.ranking * apart
        )

    def conclude(self, strategy: Any) -> None:
        if self.balance_epochs and self.old is not None:
            balance_classifier(
                strategy,
                epochs=self.balance_epochs,
                lr=self.balance_lr,
                schedule=self.balance_schedule,
            )
        super().conclude(strategy)


@torch.no_grad()
def imprint_means(strategy: Any) -> None:
    """Set the rows of new classes to the means of their unit-length features.

    They get the mean norm of the old rows.
    """
    network, dataset = strategy.model, strategy.experience.dataset
    classifier = network.classifier
    features = normalize(extract_features(strategy, dataset), dim=1)
    units = network.unit_of(torch.tensor(list(dataset.targets), device=network.device)).cpu()
    units -= len(classifier.old)
    fresh = units >= 0
    means = features.new_zeros(len(classifier.new), features.shape[1])
    means.index_add_(0, units[fresh], features[fresh])
    norm = classifier.old.norm(dim=1).mean()
    classifier.new.copy_(normalize(means, dim=1).to(classifier.new) * norm)


def balance_classifier(strategy: Any, *, epochs: int, lr: float, schedule: str) -> None:
    """Train all rows of the classifier, and nothing else, on the exemplars of all classes.

    :param lr: first learning rate; ``schedule``: of it, as in :func:`train_part`.
    """
    network = strategy.model

    def loss(x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            features = network.outputs(x).features
        scores, units = network.classifier(features), network.unit_of(y)
        value: Tensor = strategy.learner.classification(strategy, scores, units)
        return value

    rows = [p for p in (network.classifier.old, network.classifier.new) if p.numel()]
    frozen = [p.requires_grad for p in rows]
    with evaluating(network):
        for p in rows:
            p.requires_grad_(True)
        dataset = strategy.memory.memory.buffer.train()
        train_part(strategy, dataset, rows, loss, epochs=epochs, schedule=schedule, lr=lr)
        for p, trained in zip(rows, frozen, strict=True):
            p.requires_grad_(trained)

"""Training the classifier alone, on as many samples of each class."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.incremental.method import IncrementalMethod, Network
from cl_strategies.plugins.incremental.options import BalanceEpochs, BalanceLR, StageSchedule
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy
from cl_strategies.plugins.incremental.training import train_part
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class BalancedMethod(IncrementalMethod[Network]):
    """Train the classifier alone on the exemplars of all classes after each experience.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        balance_epochs: BalanceEpochs = 0,
        balance_lr: BalanceLR = 0.01,
        balance_schedule: StageSchedule = "run",
    ) -> None:
        super().__init__()
        self.balance_epochs = balance_epochs
        self.balance_lr = balance_lr
        self.balance_schedule = balance_schedule

    def conclude(self, strategy: IncrementalStrategy) -> None:
        if self.balance_epochs and self.old is not None:
            balance_classifier(
                strategy,
                epochs=self.balance_epochs,
                lr=self.balance_lr,
                schedule=self.balance_schedule,
            )
        super().conclude(strategy)


def balance_classifier(
    strategy: IncrementalStrategy, *, epochs: int, lr: float, schedule: str
) -> None:
    """Train all rows of the classifier, and nothing else, on the exemplars of all classes.

    :param lr: first learning rate; ``schedule``: of it, as in :func:`train_part`.
    """
    network = strategy.model

    def loss(x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            features = network.outputs(x).features
        logits, indices = network.classifier(features), network.index_of(y)
        value: Tensor = strategy.learner.classification(strategy, logits, indices)
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

"""DER (Yan, Xie, He, "DER: Dynamically Expandable Representation for Class Incremental Learning",
CVPR 2021), without its pruning."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from typing_extensions import Doc

from cl_strategies.models.heads import fresh_linear
from cl_strategies.plugins.incremental.balanced import balance_classifier
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.functional import auxiliary_targets
from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.plugins.incremental.methods.weight_aligning import align_classifier
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.plugins.incremental.options import (
    StageSchedule,
)
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


class ExpandableNetwork(IncrementalNetwork):
    """Several backbones, all but the last frozen; the classifier sees all their features.

    :param backbone: the first one.
    :param n_features: of one backbone.
    """

    backbone: nn.ModuleList

    def __init__(self, backbone: nn.Module, n_features: int) -> None:
        super().__init__(nn.ModuleList([backbone]), Classifier(n_features))
        self.n_features = n_features
        self.auxiliary: nn.Module | None
        self.register_module("auxiliary", None)

    def expand(self) -> None:
        """Freeze the backbones and add a copy of the last one, which is trained as that was."""
        fresh = copy.deepcopy(self.backbone[-1])
        self.backbone.requires_grad_(False).eval()
        self.backbone.append(fresh)
        self.classifier.widen(self.n_features)

    def outputs(self, x: Tensor) -> Outputs:
        return self.combine([backbone(x) for backbone in self.backbone])

    def combine(self, parts: list[Tensor]) -> Outputs:
        """:param parts: features of each backbone, ``(N, n_features)``."""
        auxiliary = None
        if self.watched and self.auxiliary is not None:
            auxiliary = self.auxiliary(parts[-1])
        features = torch.cat(parts, dim=1)
        return Outputs(features, self.classifier(features), auxiliary=auxiliary)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for backbone in self.backbone[:-1]:
            backbone.eval()
        return self


@hyperparameters
class ExpandableMethod(IncrementalMethod[ExpandableNetwork]):
    """A new backbone per experience, with an auxiliary loss that tells new classes apart.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        auxiliary: Annotated[
            float, Ge(0), Doc("Weight of the auxiliary loss that tells new classes apart.")
        ] = 1.0,
        rectify: Annotated[
            Literal["align", "finetune", "none"],
            Doc(
                'What removes the bias towards new classes: ``"align"`` scales their rows as WA '
                'does, ``"finetune"`` makes the classifier anew and trains it on the exemplars '
                "of all classes."
            ),
        ] = "align",
        finetune_epochs: Annotated[
            int, Ge(0), Doc('Epochs of the training of ``rectify="finetune"``.')
        ] = 30,
        finetune_lr: Annotated[float, Gt(0), Doc("Initial learning rate of that training.")] = 0.1,
        finetune_schedule: StageSchedule = "run",
    ) -> None:
        super().__init__()
        self.auxiliary = auxiliary
        self.rectify = rectify
        self.finetune_epochs = finetune_epochs
        self.finetune_lr = finetune_lr
        self.finetune_schedule = finetune_schedule

    def network(self, backbone: nn.Module, n_features: int) -> ExpandableNetwork:
        return ExpandableNetwork(backbone, n_features)

    def rebuild(
        self,
        network: ExpandableNetwork,
        experiences: Sequence[Sequence[int]],
        structure: Mapping[str, Any],
    ) -> None:
        for experience, classes in enumerate(experiences):
            if experience:
                network.expand()
            network.grow(classes)

    def begin(self, strategy: IncrementalStrategy, classes: Sequence[int]) -> None:
        network: ExpandableNetwork = strategy.model
        self.n_old = len(network.order)
        if self.n_old:
            network.expand()
            auxiliary = fresh_linear(network.n_features, len(classes) + 1)
            network.auxiliary = auxiliary.to(network.classifier.new)
        network.grow(classes)

    def loss(
        self, strategy: IncrementalStrategy, outputs: Outputs, x: Tensor, indices: Tensor
    ) -> Tensor:
        loss = super().loss(strategy, outputs, x, indices)
        if outputs.auxiliary is None:
            return loss
        apart = cross_entropy(outputs.auxiliary, auxiliary_targets(indices, self.n_old))
        return loss + self.auxiliary * apart

    def finish(self, strategy: IncrementalStrategy) -> None:
        if self.rectify == "align":
            align_classifier(strategy.model.classifier)

    def conclude(self, strategy: IncrementalStrategy) -> None:
        super().conclude(strategy)
        network: ExpandableNetwork = strategy.model
        network.auxiliary = None
        if self.n_old and self.rectify == "finetune":
            network.classifier.restart()
            balance_classifier(
                strategy,
                epochs=self.finetune_epochs,
                lr=self.finetune_lr,
                schedule=self.finetune_schedule,
            )

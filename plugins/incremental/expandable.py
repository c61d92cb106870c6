"""DER (Yan, Xie, He, "DER: Dynamically Expandable Representation for Class Incremental Learning",
CVPR 2021), without its pruning."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cl_strategies.errors import UserError
from cl_strategies.models.heads import fresh_linear
from cl_strategies.plugins.exemplars.losses import auxiliary_targets
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.lucir import balance_classifier
from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.plugins.incremental.rates import check_schedule
from cl_strategies.plugins.incremental.weight_aligning import align_classifier
from cl_strategies.ranges import not_negative, positive

RECTIFICATIONS = ("align", "finetune", "none")


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


class ExpandableMethod(IncrementalMethod[ExpandableNetwork]):
    """A new backbone per phase, with an auxiliary loss that tells new classes apart.

    :param auxiliary: weight of the auxiliary loss.
    :param rectify: what removes the bias towards new classes: ``"align"`` as in WA, ``"finetune"``:
        the classifier is made anew and trained on the exemplars of all classes, or ``"none"``.
    :param finetune_epochs: of that training.
    :param finetune_lr: its first learning rate.
    :param finetune_schedule: of it: ``"run"``, stretched over those epochs, or ``"constant"``.
    :raises UserError: for another ``rectify``.
    """

    def __init__(
        self,
        *,
        auxiliary: float = 1.0,
        rectify: str = "align",
        finetune_epochs: int = 30,
        finetune_lr: float = 0.1,
        finetune_schedule: str = "run",
    ) -> None:
        check_schedule(finetune_schedule=finetune_schedule)
        not_negative(auxiliary=auxiliary, finetune_epochs=finetune_epochs)
        positive(finetune_lr=finetune_lr)
        super().__init__()
        if rectify not in RECTIFICATIONS:
            raise UserError(f"rectify is {rectify!r}: use {', '.join(RECTIFICATIONS)}")
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
        phases: Sequence[Sequence[int]],
        structure: Mapping[str, Any],
    ) -> None:
        for phase, classes in enumerate(phases):
            if phase:
                network.expand()
            network.grow(classes)

    def begin(self, strategy: Any, classes: Sequence[int]) -> None:
        network: ExpandableNetwork = strategy.model
        self.n_old = len(network.order)
        if self.n_old:
            network.expand()
            auxiliary = fresh_linear(network.n_features, len(classes) + 1)
            network.auxiliary = auxiliary.to(network.classifier.new)
        network.grow(classes)

    def loss(self, strategy: Any, outputs: Outputs, x: Tensor, units: Tensor) -> Tensor:
        loss = super().loss(strategy, outputs, x, units)
        if outputs.auxiliary is None:
            return loss
        apart = cross_entropy(outputs.auxiliary, auxiliary_targets(units, self.n_old))
        return loss + self.auxiliary * apart

    def finish(self, strategy: Any) -> None:
        if self.rectify == "align":
            align_classifier(strategy.model.classifier)

    def conclude(self, strategy: Any) -> None:
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

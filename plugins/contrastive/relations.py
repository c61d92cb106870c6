"""The loss of PRD: contrasted samples, prototypes that follow, relations that stay."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.contrastive.functional import (
    prototype_loss,
    relation_distillation,
    supervised_contrastive_loss,
)
from cl_strategies.plugins.contrastive.network import Embedding, PrototypeNetwork
from cl_strategies.plugins.contrastive.views import Augmentation, view
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Equation


@hyperparameters
class PrototypeRelations:
    """What a network is trained by, given a frozen copy of it from before the experience.

    :ivar old: that copy; ``None`` while the first experience is trained.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        strength: Annotated[
            float,
            Ge(0),
            Doc("Weight of the relation distillation, alpha in the paper."),
        ] = 4.0,
        prototype_weight: Annotated[
            float, Ge(0), Doc("Weight of the prototype loss, beta in the paper.")
        ] = 2.0,
        temperature: Annotated[
            float, Gt(0), Doc("Temperature of the relation distillation."), Equation("Eq. 6")
        ] = 1.0,
        contrast_temperature: Annotated[
            float, Gt(0), Doc("Temperature of the supervised contrastive loss.")
        ] = 0.1,
        base_temperature: Annotated[
            float,
            Gt(0),
            Doc("The contrastive loss is multiplied by ``contrast_temperature`` over this."),
        ] = 0.07,
        augmentation: Augmentation = "auto",
    ) -> None:
        self.strength = strength
        self.prototype_weight = prototype_weight
        self.temperature = temperature
        self.contrast_temperature = contrast_temperature
        self.base_temperature = base_temperature
        self.augmentation = augmentation
        self.old: PrototypeNetwork | None = None

    def views(self, x: Tensor) -> Tensor:
        """Draw two views of each sample ``(N, ...)``: ``(2 N, ...)``, all first views before."""
        return torch.cat([view(x, self.augmentation), view(x, self.augmentation)])

    def loss(
        self,
        network: PrototypeNetwork,
        embedding: Embedding,
        views: Tensor,
        labels: Tensor,
        tasks: Tensor,
    ) -> Tensor:
        """Return the loss of a mini-batch.

        :param embedding: of ``views`` by ``network``.
        :param views: as :meth:`views` returned them.
        :param labels: class ids ``(N,)``.
        :param tasks: task labels ``(N,)``, all 0 for a network without tasks.
        """
        weight = next(network.projection.parameters())
        features, projected = (v.to(weight) for v in (embedding.features, embedding.projected))
        count = len(labels)
        pairs = torch.stack([projected[:count], projected[count:]], dim=1)
        _, classes = torch.unique(torch.stack([tasks, labels]), dim=1, return_inverse=True)
        loss = supervised_contrastive_loss(
            pairs,
            classes,
            temperature=self.contrast_temperature,
            base_temperature=self.base_temperature,
        )
        if self.prototype_weight:
            following = self._following(network, features, labels.repeat(2), tasks.repeat(2))
            loss = loss + self.prototype_weight * following
        if self.old is not None and self.strength:
            loss = loss + self.strength * self._relations(self.old, network, features, views)
        return loss

    def _following(
        self, network: PrototypeNetwork, features: Tensor, labels: Tensor, tasks: Tensor
    ) -> Tensor:
        total = features.new_zeros(())
        for task in torch.unique(tasks).tolist():
            mine, prototypes = tasks == task, network.of_task(task)
            rows = prototypes.arrival.indices(labels[mine])
            total = total + mine.sum() * prototype_loss(features[mine], prototypes.weight, rows)
        return total / len(labels)

    def _relations(
        self, old: PrototypeNetwork, network: PrototypeNetwork, features: Tensor, views: Tensor
    ) -> Tensor:
        groups = old.groups()
        with torch.no_grad():
            old_features = old.features(views).to(features)
        return relation_distillation(
            features,
            network.rows(groups),
            old_features,
            old.rows(groups),
            temperature=self.temperature,
        )

"""What class-incremental methods on exemplars have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.models.class_loss import is_plain
from cl_strategies.plugins.exemplars.losses import distillation
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs

Network = TypeVar("Network", bound=IncrementalNetwork)


class IncrementalMethod(Generic[Network]):
    """One way to learn new classes beside old ones; this one is plain rehearsal.

    A strategy calls it phase by phase: :meth:`begin`, :meth:`loss` for each mini-batch,
    :meth:`after_epoch`, :meth:`finish`, and :meth:`conclude` once the exemplars of the new
    classes are stored. Between phases it keeps nothing; what lasts is in the network.

    :ivar old: the network at the end of the last phase, while the next one lasts.
    :ivar n_old: how many classes are old.
    """

    def __init__(self) -> None:
        self.old: Network | None = None
        self.n_old = 0

    def network(self, backbone: nn.Module, n_features: int) -> Network:
        """The network that it trains."""
        return IncrementalNetwork(backbone, Classifier(n_features))  # type: ignore[return-value]

    def structure(self, network: Network) -> dict[str, Any]:
        """What :meth:`rebuild` needs besides the classes, as plain data."""
        return {}

    def rebuild(
        self, network: Network, phases: Sequence[Sequence[int]], structure: Mapping[str, Any]
    ) -> None:
        """Give a fresh network the shape it has after these classes, for loading its weights."""
        for classes in phases:
            network.grow(classes)

    def begin(self, strategy: Any, classes: Sequence[int]) -> None:
        """Make room for new classes."""
        network: Network = strategy.model
        self.n_old = len(network.order)
        self.old = network.frozen_copy() if self.n_old else None
        network.grow(classes)

    def hold_out(self, strategy: Any) -> None:
        """Take samples out of the training data, if need be."""

    def loss(self, strategy: Any, outputs: Outputs, x: Tensor, units: Tensor) -> Tensor:
        """The loss of a mini-batch.

        :param outputs: of the network on ``x``.
        :param x: images ``(N, C, H, W)``.
        :param units: classes by the order in which they came, ``(N,)``.
        """
        return self.classification(strategy, outputs.scores, units)

    def classification(self, strategy: Any, scores: Tensor, units: Tensor) -> Tensor:
        """The part of the loss that needs scores and labels only."""
        return unit_loss(strategy, scores, units)

    def distilled(self, outputs: Outputs, x: Tensor, temperature: float) -> Tensor:
        """How far the scores of old classes have moved from those of the old network.

        :raises UserError: in the first phase, which has none.
        """
        if self.old is None:
            raise UserError("there is no old network to distil from in the first phase")
        teacher = self.old.outputs(x).scores
        return distillation(outputs.scores[:, : self.n_old], teacher, temperature=temperature)

    def after_epoch(self, strategy: Any) -> None:
        """What follows each epoch."""

    def finish(self, strategy: Any) -> None:
        """What follows training, before exemplars are chosen."""

    def conclude(self, strategy: Any) -> None:
        """What follows once exemplars are chosen."""
        self.old = None


def unit_loss(strategy: Any, scores: Tensor, units: Tensor) -> Tensor:
    """The strategy's criterion for scores of units, which may tell classes apart by their ids.

    :param scores: of all classes in the order in which they came, ``(N, C)``.
    :param units: the labels in that order, ``(N,)``.
    """
    loss: Tensor
    if is_plain(strategy._criterion):
        loss = strategy._criterion(scores, units)
    else:
        network: IncrementalNetwork = strategy.model
        labels = torch.tensor(network.order, device=units.device)[units]
        loss = strategy._criterion(network.arrival.by_class(scores), labels)
    return loss

"""What class-incremental methods on exemplars have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.classes.class_loss import is_plain
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.functional import distillation
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy

Network = TypeVar("Network", bound=IncrementalNetwork)


class IncrementalMethod(Generic[Network]):
    """One way to learn new classes beside old ones; this one is plain rehearsal.

    A strategy calls it experience by experience: :meth:`begin`, :meth:`loss` for each mini-batch,
    :meth:`after_epoch`, :meth:`finish`, and :meth:`conclude` once the exemplars of the new
    classes are stored. Between experiences it keeps nothing; what lasts is in the network.

    :ivar old: the network at the end of the last experience, while the next one lasts.
    :ivar n_old: how many classes are old.
    """

    def __init__(self) -> None:
        self.old: Network | None = None
        self.n_old = 0

    def network(self, backbone: nn.Module, n_features: int) -> Network:
        """Return the network that it trains."""
        return IncrementalNetwork(backbone, Classifier(n_features))  # type: ignore[return-value]

    def structure(self, network: Network) -> dict[str, Any]:
        """Return what :meth:`rebuild` needs besides the classes, as plain data."""
        return {}

    def rebuild(
        self, network: Network, experiences: Sequence[Sequence[int]], structure: Mapping[str, Any]
    ) -> None:
        """Give a fresh network the shape it has after these classes, for loading its weights."""
        for classes in experiences:
            network.grow(classes)

    def begin(self, strategy: IncrementalStrategy, classes: Sequence[int]) -> None:
        """Make room for new classes."""
        network: Network = strategy.model
        self.n_old = len(network.order)
        self.old = network.frozen_copy() if self.n_old else None
        network.grow(classes)

    def hold_out(self, strategy: IncrementalStrategy) -> None:
        """Take samples out of the training data, if need be."""

    def loss(
        self, strategy: IncrementalStrategy, outputs: Outputs, x: Tensor, indices: Tensor
    ) -> Tensor:
        """Return the loss of a mini-batch.

        :param outputs: of the network on ``x``.
        :param x: images ``(N, C, H, W)``.
        :param indices: classes by the order in which they came, ``(N,)``.
        """
        return self.classification(strategy, outputs.logits, indices)

    def classification(
        self, strategy: IncrementalStrategy, logits: Tensor, indices: Tensor
    ) -> Tensor:
        """Return the part of the loss that needs logits and labels only."""
        return index_loss(strategy, logits, indices)

    def distilled(self, outputs: Outputs, x: Tensor, temperature: float) -> Tensor:
        """Return how far the logits of old classes have moved from those of the old network.

        :raises UserError: in the first experience, which has none.
        """
        if self.old is None:
            raise UserError("there is no old network to distil from in the first experience")
        teacher = self.old.outputs(x).logits
        return distillation(outputs.logits[:, : self.n_old], teacher, temperature=temperature)

    def after_epoch(self, strategy: IncrementalStrategy) -> None:
        """What follows each epoch."""

    def finish(self, strategy: IncrementalStrategy) -> None:
        """What follows training, before exemplars are chosen."""

    def conclude(self, strategy: IncrementalStrategy) -> None:
        """What follows once exemplars are chosen."""
        self.old = None


def index_loss(strategy: IncrementalStrategy, logits: Tensor, indices: Tensor) -> Tensor:
    """Return the strategy's criterion for logits of indices, which may tell classes apart by their
    ids.

    :param logits: of all classes in the order in which they came, ``(N, C)``.
    :param indices: the labels in that order, ``(N,)``.
    """
    loss: Tensor
    if is_plain(strategy._criterion):
        loss = strategy._criterion(logits, indices)
    else:
        network: IncrementalNetwork = strategy.model
        labels = torch.tensor(network.order, device=indices.device)[indices]
        loss = strategy._criterion(network.arrival.by_class(logits), labels)
    return loss

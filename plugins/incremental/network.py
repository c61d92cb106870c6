"""A network that gains classes, and what methods look at in it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from avalanche.models import DynamicModule
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.models.call_order import last_linear
from cl_strategies.models.heads import SingleHeadModel
from cl_strategies.plugins.classes.class_order import ABSENT, ArrivalOrder, classes_of
from cl_strategies.plugins.incremental.classifiers import Classifier


@dataclass
class Outputs:
    """What a forward pass computed.

    :param features: what the classifier was given, ``(N, d)``.
    :param logits: of the classes in the order in which they came, ``(N, C)``.
    :param maps: feature maps of some layers, ``(N, K, h, w)`` each.
    :param auxiliary: logits of an auxiliary classifier.
    :param before: logits of the old network, where it is part of this one, ``(N, n_old)``.
    """

    features: Tensor
    logits: Tensor
    maps: list[Tensor] = field(default_factory=list)
    auxiliary: Tensor | None = None
    before: Tensor | None = None


class IncrementalNetwork(DynamicModule):
    """A backbone below a classifier whose rows follow the order in which classes came.

    Losses are computed on logits in that order, with labels as :meth:`index_of` gives them: the
    first are old classes. Whoever calls the network gets logits by class id, as from any model.

    :param backbone: from images to features ``(N, d)``.
    :param classifier: without classes so far.
    :ivar settled: whether the method has done its last work on the network in this experience,
        which a state from its epochs would undo.
    """

    def __init__(self, backbone: nn.Module, classifier: Classifier) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.arrival = ArrivalOrder()
        self.settled = False
        self._watched: list[Outputs] | None = None
        self._evaluated = 0

    @property
    def order(self) -> list[int]:
        """The class ids in the order in which they came."""
        return self.arrival.classes

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return self.classifier.new.device

    def match(self, weight: Tensor) -> None:
        """Let all but the backbone have the type and the device of ``weight``."""
        for name, part in self.named_children():
            if name != "backbone":
                part.to(weight)
        for name, buffer in self.named_buffers(recurse=False):
            if buffer.is_floating_point():
                setattr(self, name, buffer.to(weight))

    def grow(self, classes: Sequence[int]) -> None:
        """Add classes.

        :param classes: their ids.
        :raises UserError: if there are none, or one is known.
        """
        if not classes or set(classes) & set(self.order):
            raise UserError(
                f"the classes {list(classes)} cannot be added to {self.order}: give new ones"
            )
        self.arrival.add(classes)
        self.classifier.grow(len(classes))

    def index_of(self, labels: Tensor) -> Tensor:
        """Return positions in the order of arrival, of class ids ``(N,)``."""
        return self.arrival.indices(labels)

    def outputs(self, x: Tensor) -> Outputs:
        """:param x: images ``(N, C, H, W)``."""
        features = self.backbone(x)
        return Outputs(features, self.classifier(features))

    def predictions(self, outputs: Outputs) -> Tensor:
        """Return the logits to classify by, ``(N, C)``."""
        return outputs.logits

    def forward(self, x: Tensor) -> Tensor:
        """Return logits by class id, ``(N, largest id + 1)``; those of unknown classes rule them
        out.

        Before the first classes, those of all classes that are evaluated are equal.

        :raises UserError: before the first classes, unless it is evaluated.
        """
        if not self.order and self._evaluated:
            return x.new_full((len(x), self._evaluated), ABSENT)
        if not self.order:
            raise UserError("the network knows no class yet: train it first")
        outputs = self.outputs(x)
        if self._watched is not None:
            self._watched.append(outputs)
        return self.arrival.by_class(self.predictions(outputs), self._evaluated)

    @contextmanager
    def watching(self) -> Iterator[list[Outputs]]:
        """Within, each forward pass appends what it computed to the list."""
        seen: list[Outputs] = []
        self._watched = seen
        try:
            yield seen
        finally:
            self._watched = None

    @property
    def watched(self) -> bool:
        """Whether this is a forward pass for a loss, which needs auxiliary outputs."""
        return self._watched is not None

    def frozen_copy(self) -> Self:
        """Return the network as it is now, for good."""
        return copy.deepcopy(self).eval().requires_grad_(False)

    def adaptation(self, experience: Any) -> None:
        """Rule out what is evaluated but unknown; classes are added by :meth:`grow` alone."""
        if not self.training:
            self._evaluated = max(classes_of(experience), default=-1) + 1

    def train(self, mode: bool = True) -> Self:
        """As for any module; leaving evaluation ends the padding of unknown classes."""
        if mode:
            self._evaluated = 0
        return super().train(mode)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As for any module.

        :raises UserError: at the end of an experience, after the method's last work.
        """
        if self.settled:
            raise UserError(
                "a state of the network cannot be put back after the training of an experience: "
                "the method has changed the network since (classifiers are aligned, parts merged "
                "or dropped); put it back within the epochs, as EarlyStoppingPlugin does"
            )
        return super().load_state_dict(state_dict, strict, assign)


def split_head(model: nn.Module) -> tuple[nn.Module, int]:
    """Return the backbone of a classifier, and how many features it gives.

    :param model: a :class:`~cl_strategies.models.heads.SingleHeadModel`, or a network whose last
        layer, in the order of calls, is its linear classifier; it is replaced by the identity.
    :raises UserError: if it has no such layer, or a head per task, or the order is unknown.
    """
    if isinstance(model, SingleHeadModel):
        return model.backbone, int(model.head.in_features)  # type: ignore[arg-type]
    linear = last_linear(model)
    if not linear:
        raise UserError(
            f"{type(model).__name__} has no linear classifier on top that could be replaced by one "
            "that grows: give a network with a single head"
        )
    last = model.get_submodule(linear)
    parent, _, attribute = linear.rpartition(".")
    setattr(model.get_submodule(parent), attribute, nn.Identity())
    return model, int(last.in_features)  # type: ignore[arg-type]

"""A network whose classifier is a prototype per class."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from avalanche.models import DynamicModule, MultiTaskModule
from torch import Tensor, nn

from cl_strategies.plugins.classes.class_order import ABSENT, classes_of
from cl_strategies.plugins.classes.experience import task_labels_of
from cl_strategies.plugins.contrastive.prototypes import Prototypes

#: Name of the only set of prototypes of a network without task labels.
_ALL = "all"


@dataclass
class Embedding:
    """What a forward pass in training computed.

    :param features: ``(N, d)``.
    :param projected: the features through the projection, ``(N, projection size)``.
    """

    features: Tensor
    projected: Tensor


class PrototypeNetwork(DynamicModule):
    """A backbone, prototypes of the classes that came, and a projection used in training only.

    Logits are the scores of :func:`~cl_strategies.plugins.contrastive.functional.prototype_scores`
    by class id, so that the largest is that of the nearest prototype.

    :param backbone: maps samples to features ``(N, d)``; a ``MultiTaskModule`` is given a task
        label, which must not matter to it.
    :param n_features: their size ``d``.
    :param projection: from features to the vectors that are contrasted.
    """

    def __init__(self, backbone: nn.Module, n_features: int, projection: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.n_features = n_features
        self.projection = projection
        self.prototypes = nn.ModuleDict()
        self._evaluated: dict[str, int] = {}
        self._watched: list[Embedding] | None = None

    # ------------------------------------------------------------------ classes

    def keys_of(self, experience: Any) -> dict[str, list[int]]:
        """Return the classes of ``experience`` by set of prototypes."""
        return {_ALL: classes_of(experience)}

    def adaptation(self, experience: Any) -> None:
        """In training, make room for the classes of ``experience``; else rule out unknown ones."""
        for key, classes in self.keys_of(experience).items():
            if self.training:
                self.add(key, classes)
            else:
                self._evaluated[key] = max(classes, default=-1) + 1

    def add(self, key: str, classes: Sequence[int]) -> None:
        """Make room for ``classes`` among the prototypes of this name."""
        if key not in self.prototypes:
            self.prototypes[key] = Prototypes(self.n_features)
        self._set(key).add(classes)
        self.prototypes[key].to(next(self.projection.parameters()))

    def groups(self) -> list[tuple[str, slice]]:
        """Return where the prototypes of each earlier task are: the set, and its rows."""
        found = []
        for key in self.prototypes:
            start = 0
            for count in self._set(key).groups:
                found.append((key, slice(start, start + count)))
                start += count
        return found

    def rows(self, groups: Sequence[tuple[str, slice]]) -> list[Tensor]:
        """Return the prototypes of these groups, ``(C_i, d)`` each."""
        return [self._set(key).weight[rows] for key, rows in groups]

    def key(self, task: int) -> str:
        """Return the name of the prototypes of a task label."""
        return _ALL

    def of_task(self, task: int) -> Prototypes:
        """Return the prototypes of a task label."""
        return self._set(self.key(task))

    def _set(self, key: str) -> Any:
        return self.prototypes[key]

    # ------------------------------------------------------------------ computing

    def features(self, x: Tensor) -> Tensor:
        """:param x: ``(N, ...)``. :returns: ``(N, d)``."""
        several = isinstance(self.backbone, MultiTaskModule)
        features: Tensor = self.backbone(x, 0) if several else self.backbone(x)
        return features.flatten(1)

    def scores(self, features: Tensor, task: int) -> Tensor:
        """Return scores by class id; zeros before the task is trained.

        :param features: ``(N, d)``.
        :param task: label.
        """
        key = self.key(task)
        width = 0 if self.training else self._evaluated.get(key, 0)
        if key not in self.prototypes:
            return features.new_zeros(len(features), width)
        prototypes = self.of_task(task)
        scores: Tensor = prototypes.arrival.by_class(prototypes(features), width)
        return scores

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(N, ...)``. :returns: scores by class id, ``(N, largest id + 1)``."""
        return self.scores(self._embedded(x), 0)

    def _embedded(self, x: Tensor) -> Tensor:
        features = self.features(x)
        if self._watched is not None:
            self._watched.append(Embedding(features, self.projection(features)))
        return features

    @contextmanager
    def watching(self) -> Iterator[list[Embedding]]:
        """Within, each forward pass appends what it computed to the list."""
        seen: list[Embedding] = []
        self._watched = seen
        try:
            yield seen
        finally:
            self._watched = None

    def frozen_copy(self) -> Self:
        """Return the network as it is now, for good."""
        return copy.deepcopy(self).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """As for any module; leaving evaluation ends the padding of unknown classes."""
        if mode:
            self._evaluated = {}
        return super().train(mode)

    # ------------------------------------------------------------------ state

    def structure(self) -> dict[str, Any]:
        """Return the classes of each set of prototypes in groups, as plain data."""
        return {
            key: {"classes": self._set(key).arrival.classes, "groups": list(self._set(key).groups)}
            for key in self.prototypes
        }

    def restore_structure(self, structure: Mapping[str, Any]) -> None:
        """Make room for the classes of ``structure``; their prototypes are loaded later."""
        for key, saved in structure.items():
            start = 0
            for count in saved["groups"]:
                self.add(key, saved["classes"][start : start + count])
                start += count


class MultiPrototypeNetwork(PrototypeNetwork, MultiTaskModule):
    """The same with prototypes for each task label, among which a sample is classified."""

    def keys_of(self, experience: Any) -> dict[str, list[int]]:
        """Return the classes of ``experience`` by task label."""
        return {str(task): classes_of(experience, task) for task in task_labels_of(experience)}

    def key(self, task: int) -> str:
        """Return the name of the prototypes of a task label."""
        return str(task)

    def forward(self, x: Tensor, task_labels: Tensor | int | None = None) -> Any:  # type: ignore[override]
        """Compute the scores of each sample among the classes of its own task.

        :param x: ``(N, ...)``.
        :param task_labels: ``(N,)``, or one label for all samples, or ``None`` for all tasks.
        :returns: ``(N, classes of the widest task involved)``, narrower tasks padded with
            :data:`ABSENT`; for ``None`` a dictionary from task label to scores.
        """
        features = self._embedded(x)
        if task_labels is None:
            return {int(key): self.scores(features, int(key)) for key in self.prototypes}
        if isinstance(task_labels, int):
            return self.scores(features, task_labels)
        tasks = torch.unique(task_labels).tolist()
        if len(tasks) == 1:
            return self.scores(features, tasks[0])
        outputs = {task: self.scores(features, task) for task in tasks}
        width = max((output.shape[1] for output in outputs.values()), default=0)
        merged = features.new_full((len(x), width), ABSENT)
        for task, output in outputs.items():
            mine = (task_labels == task).to(x.device)
            merged[mine, : output.shape[1]] = output[mine].to(merged)
        return merged

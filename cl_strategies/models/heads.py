"""Classifiers that grow with the stream: in training only, never because of what is evaluated.

Avalanche's own heads also grow while evaluating, so that the number of parameters depends on
which test experiences were looked at; and its multi-head rejects the ``set`` of classes that
Avalanche's own streams provide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from avalanche.models import DynamicModule, MultiTaskModule
from torch import Tensor, nn

from cl_strategies.errors import UserError

#: Logit of a class that the model has no unit for: its probability is zero.
ABSENT = -1000.0


def _units(classes: Iterable[int]) -> int:
    """How many units a head with these class ids needs."""
    return max((int(label) for label in classes), default=-1) + 1


class GrowingClassifier(DynamicModule):
    """A linear layer that gains units when training meets new classes.

    Class ``k`` is always unit ``k``. Old units keep their weights; an optimizer forgets its
    moments of the grown tensors (Avalanche's ``update_optimizer`` drops them).

    When an experience with unknown classes is evaluated, the output is padded with
    :data:`ABSENT` up to those classes, so that losses are defined and the classes count as
    wrong; no parameter is created.

    :param in_features: size of the features.
    :param initial_out_features: units before the first experience.
    :param auto_adapt: ``False`` inside a module that adapts this one itself.
    """

    def __init__(
        self, in_features: int, initial_out_features: int = 2, *, auto_adapt: bool = True
    ) -> None:
        super().__init__(auto_adapt=auto_adapt)
        self.in_features = in_features
        self.classifier = nn.Linear(in_features, initial_out_features)
        self._evaluated = 0

    @property
    def out_features(self) -> int:
        """How many classes the head has units for."""
        return self.classifier.out_features

    @torch.no_grad()
    def adaptation(self, experience: Any) -> None:
        """Make room for ``experience.classes_in_this_experience`` (a list or a set)."""
        needed = _units(experience.classes_in_this_experience)
        if not self.training:
            self._evaluated = needed
        elif needed > self.out_features:
            old = self.classifier
            new = nn.Linear(self.in_features, needed).to(old.weight)
            new.weight[: old.out_features] = old.weight
            new.bias[: old.out_features] = old.bias
            self.classifier = new

    def train(self, mode: bool = True) -> GrowingClassifier:
        """As for any module; leaving evaluation ends the padding of unknown classes."""
        if mode:
            self._evaluated = 0
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(N, in_features)``. :returns: logits ``(N, classes)``."""
        return _padded(self.classifier(x), self._evaluated)


class MultiHead(MultiTaskModule):
    """One :class:`GrowingClassifier` per task; heads come into being in training only.

    The logits of a task that was never trained are all zero (every class equally likely) over
    the classes of the experience being evaluated.

    :param in_features: size of the features.
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.heads = nn.ModuleDict()
        self._untrained: dict[int, int] = {}

    def adaptation(self, experience: Any) -> None:
        """Add or grow the heads of ``experience.task_labels``."""
        super().adaptation(experience)
        classes = experience.classes_in_this_experience
        for task in sorted({int(label) for label in experience.task_labels}):
            if str(task) not in self.heads:
                if not self.training:
                    self._untrained[task] = _units(classes)
                    continue
                self.heads[str(task)] = GrowingClassifier(
                    self.in_features, _units(classes), auto_adapt=False
                )
            head: Any = self.heads[str(task)]
            head.adaptation(experience)

    def forward(self, x: Tensor, task_labels: Tensor | int | None) -> Any:
        """Logits of each sample's own task.

        :param x: features ``(N, in_features)``.
        :param task_labels: ``(N,)``, or one label for all samples, or ``None`` for all heads.
        :returns: ``(N, classes of the widest head involved)``, narrower heads padded with
            :data:`ABSENT`; for ``None`` a dictionary from task label to logits.
        """
        if task_labels is None:
            return self.forward_all_tasks(x)
        if isinstance(task_labels, int):
            return self.forward_single_task(x, task_labels)
        tasks = torch.unique(task_labels).tolist()
        if len(tasks) == 1:
            return self.forward_single_task(x, tasks[0])
        rows = {task: (task_labels == task).to(x.device) for task in tasks}
        outputs = {task: self.forward_single_task(x[rows[task]], task) for task in tasks}
        width = max(output.shape[1] for output in outputs.values())
        first = next(iter(outputs.values()))
        merged = first.new_full((len(x), width), ABSENT)
        for task, output in outputs.items():
            merged[rows[task]] = _padded(output, width)
        return merged

    def forward_single_task(self, x: Tensor, task_label: int) -> Tensor:
        """:raises UserError: if the task is known neither from training nor evaluation."""
        if str(task_label) in self.heads:
            return self.heads[str(task_label)](x)
        if self.training or task_label not in self._untrained:
            raise UserError(
                f"the model has no head for task {task_label}: it was trained on the tasks "
                f"{sorted(int(name) for name in self.heads)}; adapt it to an experience of "
                "that task first"
            )
        return x.new_zeros(len(x), self._untrained[task_label])

    def forward_all_tasks(self, x: Tensor) -> dict[int, Tensor]:
        """The logits of every trained head, in the order of the task labels."""
        return {task: self.heads[str(task)](x) for task in sorted(map(int, self.heads))}


class MultiHeadModel(MultiTaskModule):
    """A shared backbone below a :class:`MultiHead`.

    Avalanche passes task labels to a model only if the model itself is a
    ``MultiTaskModule``; a multi-head inside a plain module gets none.

    :param backbone: maps images to features ``(N, out_features)``.
    :param out_features: size of those features.
    """

    def __init__(self, backbone: nn.Module, out_features: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = MultiHead(out_features)

    def forward(self, x: Tensor, task_labels: Tensor | int | None) -> Any:
        """As :meth:`MultiHead.forward`, from images."""
        return self.head(self.backbone(x), task_labels)

    def forward_single_task(self, x: Tensor, task_label: int) -> Tensor:
        return self.head.forward_single_task(self.backbone(x), task_label)

    def forward_all_tasks(self, x: Tensor) -> dict[int, Tensor]:
        return self.head.forward_all_tasks(self.backbone(x))


class SingleHeadModel(nn.Module):
    """A backbone below one classifier.

    :param backbone: maps images to features.
    :param head: maps features to logits.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """:param x: images ``(N, C, H, W)``. :returns: logits ``(N, classes)``."""
        return self.head(self.backbone(x))


def with_head(
    backbone: nn.Module, out_features: int, *, n_classes: int, scenario: str, head: str
) -> nn.Module:
    """The model for a scenario: task-incremental gets a head per task, the others one head.

    :param head: ``"auto"`` (as above, one head of ``n_classes`` units) or ``"growing"`` (one
        head that starts small).
    :raises UserError: for an unknown head or scenario, or a single head where tasks have
        their own.
    """
    if scenario not in ("class", "domain", "task"):
        raise UserError(f"scenario is {scenario!r}: use class, domain or task")
    if head not in ("auto", "growing"):
        raise UserError(f"head is {head!r}: use auto or growing")
    if scenario == "task":
        if head != "auto":
            raise UserError(
                f"head={head!r} is one head for all tasks, but a task-incremental stream has "
                "one per task: leave head at 'auto'"
            )
        return MultiHeadModel(backbone, out_features)
    if head == "growing":
        return SingleHeadModel(backbone, GrowingClassifier(out_features))
    return SingleHeadModel(backbone, nn.Linear(out_features, n_classes))


def _padded(logits: Tensor, width: int) -> Tensor:
    missing = width - logits.shape[1]
    return nn.functional.pad(logits, (0, missing), value=ABSENT) if missing > 0 else logits

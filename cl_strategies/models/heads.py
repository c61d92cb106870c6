"""Classifiers that grow with the stream: in training only, never because of what is evaluated.

Avalanche's own heads also grow while evaluating, so that the number of parameters depends on
which test experiences were looked at; and its multi-head rejects the ``set`` of classes that
Avalanche's own streams provide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from avalanche.models import DynamicModule, MultiTaskModule
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.models.options import HeadKind, NClasses, ScenarioName
from cl_strategies.plugins.classes.class_order import ABSENT, ArrivalOrder, classes_of
from cl_strategies.plugins.classes.experience import task_labels_of
from cl_strategies.validation.hyperparameters import hyperparameters


def linear_bound(in_features: int) -> float:
    """Return ``sqrt(3 / in_features)``, the bound of the uniform distribution of new rows.

    Kaiming initialization for a layer without nonlinearity (He et al., ICCV 2015, gain 1), as the
    class-incremental methods' public code has it; a row then gives logits of variance 1 for
    features of unit variance. PyTorch's linear layers begin with a third of that variance.
    """
    return math.sqrt(3 / max(in_features, 1))


def fresh_linear(in_features: int, out_features: int) -> nn.Linear:
    """Make a linear layer with weights within :func:`linear_bound` and biases of zero."""
    bound = linear_bound(in_features)
    return _linear(
        torch.empty(out_features, in_features).uniform_(-bound, bound), torch.zeros(out_features)
    )


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Make the linear layer with these parameters, without drawing random ones before."""
    layer = nn.Linear(weight.shape[1], 1, device="meta")
    layer.out_features = len(weight)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


class GrowingClassifier(DynamicModule):
    """A linear layer that gains a row for each new class in training.

    Rows follow the order in which classes came, so that a class that has not come has no row,
    whatever its id. The output has logits by class id, :data:`ABSENT` for classes without a row.
    Old rows keep their weights, new ones begin as :func:`fresh_linear`; an optimizer loses its
    moments of the grown tensors (Avalanche's ``update_optimizer`` drops them).

    When an experience with unknown classes is evaluated, the output is padded with
    :data:`ABSENT` up to those classes, so that losses are defined and the classes count as
    wrong; no parameter is created.

    :param in_features: Size of the features.
    :param initial_out_features: Number of classes 0, 1... that have rows from the start; default 0.
    :param auto_adapt: Let Avalanche adapt the head; ``False`` inside a module that does it itself.
    :ivar arrival: which class each row stands for.
    """

    def __init__(
        self, in_features: int, initial_out_features: int = 0, *, auto_adapt: bool = True
    ) -> None:
        super().__init__(auto_adapt=auto_adapt)
        self.in_features = in_features
        self.classifier = fresh_linear(in_features, initial_out_features)
        self.arrival = ArrivalOrder(range(initial_out_features))
        self._evaluated = 0

    @property
    def out_features(self) -> int:
        """Number of classes that the head has outputs for."""
        return self.classifier.out_features

    def adaptation(self, experience: Any) -> None:
        """Make room for the classes of ``experience``; see :func:`classes_of`."""
        self.make_room(classes_of(experience))

    @torch.no_grad()
    def make_room(self, classes: Sequence[int]) -> None:
        """Add rows for the unknown ones of ``classes`` in training; else rule those out."""
        if not self.training:
            self._evaluated = max(classes, default=-1) + 1
        elif self.arrival.add(classes):
            old = self.classifier
            new = fresh_linear(self.in_features, len(self.arrival.classes)).to(old.weight)
            new.weight[: old.out_features] = old.weight
            new.bias[: old.out_features] = old.bias
            self.classifier = new

    def train(self, mode: bool = True) -> GrowingClassifier:
        """Set the mode as for any module; training ends the padding of unknown classes."""
        if mode:
            self._evaluated = 0
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(N, in_features)``. :returns: logits by class id ``(N, classes)``."""
        return self.arrival.by_class(self.classifier(x), self._evaluated)

    @torch.no_grad()
    def by_class(self) -> nn.Linear:
        """Make a linear layer that computes the same logits by class id, as a copy."""
        order, old = self.arrival.classes, self.classifier
        weight = old.weight.new_zeros(self.arrival.width, self.in_features)
        bias = old.bias.new_full((self.arrival.width,), ABSENT)
        weight[order], bias[order] = old.weight, old.bias
        return _linear(weight, bias)

    def get_extra_state(self) -> Tensor:
        """Return the class of each output, for ``state_dict()``; nothing if they are 0, 1..."""
        classes = self.arrival.classes
        natural = classes == list(range(len(classes)))
        return torch.tensor([] if natural else classes, dtype=torch.int32)

    def set_extra_state(self, state: Tensor) -> None:
        """Set the class of each output to those of ``state``."""
        self.arrival = ArrivalOrder(state.tolist() or range(self.out_features))


class _TaskModule(MultiTaskModule):
    """Avalanche's, also for experiences that do not declare their classes."""

    def adaptation(self, experience: Any) -> None:
        super().adaptation(
            SimpleNamespace(
                classes_in_this_experience=classes_of(experience),
                task_labels=task_labels_of(experience),
            )
        )


class MultiHead(_TaskModule):
    """One :class:`GrowingClassifier` per task; heads are made in training only.

    The logits of a task that was never trained are all zero (every class equally likely) over
    the classes of the experience being evaluated.

    :param in_features: size of the features.
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.heads = nn.ModuleDict()
        # Goes where the module goes, so that new heads are of its type and on its device.
        self.register_buffer("_like", torch.empty(0), persistent=False)
        self._untrained: dict[int, int] = {}

    def adaptation(self, experience: Any) -> None:
        """Add or grow the heads of the task labels of ``experience``."""
        super().adaptation(experience)
        for task in task_labels_of(experience):
            classes = classes_of(experience, task)
            if str(task) not in self.heads:
                if not self.training:
                    self._untrained[task] = max(classes, default=-1) + 1
                    continue
                fresh = GrowingClassifier(self.in_features, auto_adapt=False)
                self.heads[str(task)] = fresh.to(self._like)
            head: Any = self.heads[str(task)]
            head.make_room(classes)

    def forward(self, x: Tensor, task_labels: Tensor | int | None) -> Any:
        """Compute the logits of each sample's own task.

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
        """Compute the logits of every trained head, in the order of the task labels."""
        return {task: self.heads[str(task)](x) for task in sorted(map(int, self.heads))}


class MultiHeadModel(_TaskModule):
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
        """Compute :meth:`MultiHead.forward` from images."""
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


@hyperparameters
def with_head(
    backbone: nn.Module,
    out_features: int,
    *,
    n_classes: NClasses,
    scenario: ScenarioName,
    head: HeadKind,
) -> nn.Module:
    """Build the model for a scenario: a head per task if task-incremental, else one head.

    In class-incremental streams the rows of a head of fixed size begin as those of one that grows:
    with PyTorch's smaller ones, replay was less accurate in the end.

    :param backbone: Network from images to features.
    :param out_features: Size of those features.
    :raises UserError: for an unknown head or scenario, or a single head where tasks have
        their own.
    """
    if scenario == "task":
        if head != "auto":
            raise UserError(
                f"head={head!r} is one head for all tasks, but a task-incremental stream has "
                "one per task: leave head at 'auto'"
            )
        return MultiHeadModel(backbone, out_features)
    if head == "growing":
        return SingleHeadModel(backbone, GrowingClassifier(out_features))
    layer = fresh_linear if scenario == "class" else nn.Linear
    return SingleHeadModel(backbone, layer(out_features, n_classes))


def _padded(logits: Tensor, width: int) -> Tensor:
    missing = width - logits.shape[1]
    return nn.functional.pad(logits, (0, missing), value=ABSENT) if missing > 0 else logits

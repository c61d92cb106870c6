"""A multi-head network with weights of its own for every task, learned one after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.classes.class_order import ABSENT, classes_of
from cl_strategies.plugins.classes.experience import task_labels_of
from cl_strategies.plugins.task_layers.conversion import head_modules
from cl_strategies.plugins.task_layers.task_tensors import Task, TaskNetwork


class TaskModel(TaskNetwork):
    """A network with normalizations, a head and, by method, more of its own for every task.

    The first task trains the network as it is, and what the layers share is then frozen. A later
    task begins with copies of the first one's normalizations (:meth:`adaptation`) and with what
    :meth:`begin_layers` gives it. What belongs to a finished task is frozen, in evaluation mode,
    and does not change its outputs by a single bit when others are learned.

    ``network`` is changed in place, and from then on is called through this module alone.

    :param network: Network to divide; see
        :func:`~cl_strategies.plugins.task_layers.conversion.divide`.
    :ivar small_batch: evaluation of fewer samples than this, or of several tasks at once, makes
        the weights of the task for the batch; of more, weights that are made once and kept for
        the next batch of the same task.
    :ivar rebuilt: whether a loaded state has given the current task other parameters, which the
        optimizer does not hold yet; the strategy resets it when it makes the optimizer.
    :raises UserError: if the network cannot be divided, with the reason.
    """

    transient_attributes: ClassVar[tuple[str, ...]] = ("_place",)  # of a checkpoint

    def __init__(self, network: nn.Module, /) -> None:
        super().__init__(network)
        self.small_batch = 32
        self.rebuilt = False
        self._evaluated: dict[int, int] = {}
        self._place: torch.device | None = None  # where everything is, if that is known

    # ------------------------------------------------------------------ what a method adds

    def begin_layers(self, task: Task) -> None:
        """Give the layers what ``task`` begins with, besides normalizations and head."""

    def restore_layers(self, task: Task, saved: Mapping[str, Any]) -> None:
        """Make room in the layers for the tensors of ``task`` that ``saved`` describes.

        :param saved: what :meth:`describe` returned.
        """
        self.begin_layers(task)

    def describe(self, task: Task) -> dict[str, Any]:
        """Return plain data that :meth:`restore_layers` needs."""
        return {}

    # ------------------------------------------------------------------ learning

    def adaptation(self, experience: Any) -> None:
        """In training, begin the task of ``experience``; in evaluation, note its classes.

        :raises UserError: if the experience has no task label, several, or in training one that
            was learned before.
        """
        label = task_label(experience, self.method)
        classes = tuple(classes_of(experience))
        if self.training:
            self._begin(label, classes)
        else:
            self._evaluated[label] = max(classes) + 1

    def _begin(self, label: int, classes: tuple[int, ...]) -> None:
        if self.current is not None:
            raise UserError(
                f"the training of task {self.current.label} was not finished: start from a new "
                "model, or from a state saved before it"
            )
        if any(task.label == label for task in self.tasks):
            raise UserError(
                f"task label {label} was already learned: {self.method} keeps parameters per "
                "task and needs a label of its own for every experience (a task-incremental "
                "stream)"
            )
        task = self._add(label, classes)
        self.begin_layers(task)
        self._add_norms(task)
        self._train_biases(task)

    def _add(self, label: int, classes: Sequence[int]) -> Task:
        task = Task(label, tuple(classes))
        experience = SimpleNamespace(
            task_labels=[label], classes_in_this_experience=list(task.classes)
        )
        head: Any = self.head
        mode, head.training = head.training, True  # heads of other tasks are left alone
        try:
            head.adaptation(experience)
        finally:
            head.training = mode
        for module in head_modules(head, task.name):
            module.to(next(self.network.parameters())).train(mode)
        if self.switch.base is None:
            self.switch.base = task.name
        self.tasks.append(task)
        return task

    def _train_biases(self, task: Task) -> None:
        """Let ``task`` train its biases, copies of frozen ones, unless the user froze those."""
        for name, entry in self.entries(task).items():
            if entry.bias is not None:
                entry.bias.requires_grad_(self.layers[name].trains_bias)

    def _add_norms(self, task: Task) -> None:
        if task.name != self.switch.base:
            for norm in self.norms.values():
                norm.add(task.name, training=self.training)

    def finish(self) -> None:
        """Freeze the current task."""
        task = self.current
        if task is not None:
            for parameter in self.parameters_of(task):
                parameter.requires_grad_(False)
                parameter.grad = None
            for module in self.modules_of(task):
                module.eval()
            for dictionary in self.dictionaries():
                dictionary.finished.add(task.name)
            task.finished = True

    def train(self, mode: bool = True) -> TaskModel:
        """Set the mode as for any module, but keep finished tasks in evaluation mode."""
        super().train(mode)
        if self.tasks and self.tasks[0].finished:  # its normalizations are not in a TaskDict
            for module in self.modules_of(self.tasks[0]):
                module.eval()
        return self

    def to(self, *arguments: Any, **options: Any) -> TaskModel:
        """Move as any module does, without visiting what is known to be on that device."""
        device = arguments[0] if len(arguments) == 1 and not options else None
        if not isinstance(device, torch.device | str):
            return super().to(*arguments, **options)
        if self._place != torch.device(device):
            super().to(device)
            self._place = torch.device(device)
        elif self.current is not None:
            for module in self.modules_of(self.current):
                module.to(device)
        return self

    def _apply(self, *arguments: Any, **options: Any) -> TaskModel:
        self._place = None  # whatever this does to its tensors
        return super()._apply(*arguments, **options)

    # ------------------------------------------------------------------ computing

    def forward(self, x: Tensor, task_labels: Tensor | int | None = None) -> Any:
        """Compute the logits of each sample's own task.

        :param x: ``(N, ...)``.
        :param task_labels: ``(N,)``, or one label for all samples, or ``None`` for all tasks.
        :returns: ``(N, classes of the widest task involved)``, narrower tasks padded with
            :data:`ABSENT`; for ``None`` a dictionary from task label to logits.
        """
        if task_labels is None:
            return self.forward_all_tasks(x)
        if isinstance(task_labels, int):
            return self.forward_single_task(x, task_labels)
        labels = torch.unique(task_labels).tolist()
        if len(labels) == 1:
            return self.forward_single_task(x, labels[0])
        rows = {label: (task_labels == label).to(x.device) for label in labels}
        outputs = {label: self._compute(x[mask], label, False) for label, mask in rows.items()}
        width = max((output.shape[1] for output in outputs.values()), default=0)
        kind = next(iter(outputs.values())) if outputs else x
        merged = kind.new_full((len(x), width), ABSENT)
        for label, output in outputs.items():
            merged[rows[label], : output.shape[1]] = output
        return merged

    def forward_single_task(self, x: Tensor, task_label: int) -> Tensor:
        """Compute the logits of one task; zeros for one that is evaluated before it was trained.

        :raises UserError: if the task is known neither from training nor from evaluation.
        """
        evaluating = not self.training and not torch.is_grad_enabled()
        return self._compute(x, task_label, evaluating and len(x) >= self.small_batch)

    def forward_all_tasks(self, x: Tensor) -> dict[int, Tensor]:
        """Compute the logits of every learned task."""
        return {task.label: self.forward_single_task(x, task.label) for task in self.tasks}

    def _compute(self, x: Tensor, label: int, cached: bool) -> Tensor:
        width = 0 if self.training else self._evaluated.get(label, 0)
        if width and all(task.label != label for task in self.tasks):
            return x.new_zeros(len(x), width)
        self.switch.task, self.switch.cached = self.task(label).name, cached
        try:
            logits: Tensor = self.network(x, label)
        finally:
            self.switch.task, self.switch.cached = None, False
        missing = width - logits.shape[1]
        return nn.functional.pad(logits, (0, missing), value=ABSENT) if missing > 0 else logits

    # ------------------------------------------------------------------ state

    def structure(self) -> dict[str, Any]:
        """Return the tasks and what else decides the shapes of tensors, as plain data."""
        return {
            "tasks": [
                {
                    "label": task.label,
                    "classes": list(task.classes),
                    "finished": task.finished,
                    **self.describe(task),
                }
                for task in self.tasks
            ]
        }

    def restore_structure(self, structure: Mapping[str, Any]) -> None:
        """Give a model without tasks those of ``structure``; their tensors are loaded later.

        While a task is trained, the model also takes a structure that this task had before.

        :raises UserError: if this model has learned other tasks.
        """
        if structure == self.structure():
            return
        if self.tasks:
            self._rebuild_current(structure)
            return
        with torch.random.fork_rng(devices=[]):  # new heads draw weights that are then replaced
            for saved in structure["tasks"]:
                task = self._add(saved["label"], saved["classes"])
                self.restore_layers(task, saved)
                self._add_norms(task)
                if saved["finished"]:
                    self.finish()

    def _rebuild_current(self, structure: Mapping[str, Any]) -> None:
        """Give the layers the parts that the current task had according to ``structure``.

        :raises UserError: if it differs in anything else.
        """
        own, task = self.structure()["tasks"], self.current
        saved = structure["tasks"]
        kept = ("label", "classes", "finished")
        if (
            task is None
            or saved[:-1] != own[:-1]
            or [saved[-1][key] for key in kept] != [own[-1][key] for key in kept]
        ):
            raise UserError(
                "a state can be loaded into a new model, or into the model that it is from while "
                "that still trains the same task; this model has learned other tasks: load it "
                "into a new one"
            )
        self.restore_layers(task, saved[-1])
        self._train_biases(task)
        self.train(self.training)
        self.rebuilt = True

    def get_extra_state(self) -> Tensor:
        """Return :meth:`structure` as a tensor, which is part of ``state_dict()``."""
        text = json.dumps(self.structure(), sort_keys=True).encode()
        return torch.frombuffer(bytearray(text), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Do nothing: :meth:`load_state_dict` has made the tasks before."""

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load as any module does, after giving a new model the tasks that the state has."""
        self._place = None
        if "_extra_state" in state_dict:
            text = bytes(state_dict["_extra_state"].tolist()).decode()
            self.restore_structure(json.loads(text))
        return super().load_state_dict(state_dict, strict, assign)


def task_label(experience: Any, method: str) -> int:
    """Return the one task label of an experience.

    :raises UserError: if it has none, or several.
    """
    labels = task_labels_of(experience)
    if len(labels) != 1:
        found = f"the task labels {labels}" if labels else "no task labels"
        raise UserError(
            f"{method} chooses parameters by the task label of a sample, and the experience has "
            f"{found}: use a task-incremental stream with one label per experience"
        )
    return labels.pop()

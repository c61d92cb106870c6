"""Networks whose tasks mask shared weights and add a sparse residual of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.task_layers.decomposed_layers import (
    Decomposed,
    DecomposedConv2d,
    DecomposedLinear,
)
from cl_strategies.plugins.task_layers.functional.decomposition import decomposition_penalty
from cl_strategies.plugins.task_layers.model import TaskModel
from cl_strategies.plugins.task_layers.sparse_tensor import SparseTensor
from cl_strategies.plugins.task_layers.task_tensors import Task
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Equation

#: By layer, of the earlier tasks: mask logits ``(T, J)``, and the weights to hold ``(T, J, ...)``
#: without components of groups.
Held = Mapping[str, tuple[Tensor, Tensor]]


@hyperparameters
class DecomposedModel(TaskModel):
    """Every task has masks, residuals, biases, normalizations and a head; weights are shared.

    Between experiences, residuals are kept without the entries that evaluation takes for zero:
    one bit for each weight, and the values. See
    :class:`~cl_strategies.plugins.task_layers.model.TaskModel` for what else it does.

    :param network: what it says there.
    :raises UserError: if the network cannot be divided, or for an option out of its range.
    """

    kinds: ClassVar[Mapping[Any, Any]] = {
        nn.Linear: DecomposedLinear,
        nn.Conv2d: DecomposedConv2d,
    }

    def __init__(
        self,
        network: nn.Module,
        /,
        *,
        l1: Annotated[
            float,
            Ge(0),
            Doc(
                "Weight of the absolute values of residuals, lambda_1; residuals up to it count "
                "as zero in evaluation."
            ),
            Equation("section 3.1"),
        ] = 4e-4,
        weight_decay: Annotated[
            float,
            Ge(0),
            Doc(
                "Weight of half the squares of the task's masks and residuals, and in the first "
                "task of the shared weights."
            ),
        ] = 1e-4,
        start: Annotated[
            Literal["shared", "zeros"],
            Doc(
                'Residual of a new task: ``"shared"``, a copy of the shared weights as in the '
                'authors\' code, or ``"zeros"``.'
            ),
        ] = "shared",
    ) -> None:
        super().__init__(network)
        self.l1, self.weight_decay, self.start = l1, weight_decay, start
        for layer in self.layers.values():
            layer.threshold = l1

    def has_residuals(self) -> bool:
        """Return whether tasks have a residual, or a mask alone."""
        return True

    def begin_layers(self, task: Task) -> None:
        """Give every layer a mask, a residual and a bias."""
        for layer in self.layers.values():
            weight = layer.weight.detach()
            residual = weight if self.start == "shared" else torch.zeros_like(weight)
            layer.add(task.name, residual if self.has_residuals() else None, self.first_name(task))

    def finish(self) -> None:
        """Freeze the current task, and keep of residuals what evaluation uses."""
        super().finish()
        for entry in self._all_entries():
            entry.store(self.l1)

    def hold(self) -> Held:
        """Return what :meth:`penalty` holds the old tasks to, when a task begins."""
        return {}

    def penalty(self, held: Held) -> Tensor:
        """Return what the shared weights and the parameters of tasks add to the loss.

        :param held: as :meth:`hold` returned it when the task began.
        """
        raise NotImplementedError

    def _all_entries(self) -> list[Decomposed]:
        return [entry for task in self.tasks for entry in self.entries(task).values()]

    # ------------------------------------------------------------------ state

    def describe(self, task: Task) -> dict[str, Any]:
        """Return how many values each residual keeps (``None``: all of them), and the groups."""
        entries = self.entries(task)
        return {
            "kept": {n: e.residual.count if e.stored else None for n, e in entries.items()},
            "groups": {
                name: [entry.group, self.layers[name].components[entry.group].count]
                for name, entry in entries.items()
                if entry.group is not None
            },
        }

    def restore_structure(self, structure: Mapping[str, Any]) -> None:
        """As :class:`TaskModel`, and make room for what residuals and groups keep."""
        if structure == self.structure():
            return
        super().restore_structure(structure)
        for task, saved in zip(self.tasks, structure["tasks"], strict=True):
            for name, entry in self.entries(task).items():
                self._make_room(name, entry, saved)
        if self.current is not None:
            self.let_learn()

    def _make_room(self, name: str, entry: Decomposed, saved: Mapping[str, Any]) -> None:
        layer = self.layers[name]
        if entry.residual is not None:
            count = saved["kept"][name]
            entry.restore()
            if count is not None:
                entry.put(SparseTensor.empty(layer.weight, count))
        group = saved["groups"].get(name)
        if group is not None:
            entry.group = group[0]
            layer.components[group[0]] = SparseTensor.empty(layer.weight, group[1])

    def let_learn(self) -> None:
        """Let everything learn that the current task trains besides what is its own."""

    def growth(self) -> float:
        """As :class:`TaskModel`, with the components of groups."""
        components = [layer.components for layer in self.layers.values()]
        stored = [value for part in components for value in part.buffers()]
        first = self.stored_bytes()[self.tasks[0].label] if self.tasks else 0
        base = first + sum(p.numel() * p.element_size() for p in self.shared_parameters())
        return super().growth() + sum(b.numel() * b.element_size() for b in stored) / base


@hyperparameters
class APDFixedModel(DecomposedModel):
    """The first task trains the shared weights; later ones mask them, and may add a residual.

    Nothing that belongs to a finished task changes, and neither do its outputs.

    :param network: as for :class:`DecomposedModel`.
    """

    method: ClassVar[str] = "apd-fixed"

    def __init__(
        self,
        network: nn.Module,
        /,
        *,
        tau: Annotated[
            bool,
            Doc("Give every task a sparse residual, too; without, it has a mask alone."),
        ] = True,
        **options: Any,
    ) -> None:
        super().__init__(network, **options)
        self.tau = tau

    def has_residuals(self) -> bool:
        return self.tau

    def penalty(self, held: Held) -> Tensor:
        """Return sparsity and decay of the current task; frozen weights have no decay."""
        total = torch.zeros(())
        task = self.current
        for name, entry in (self.entries(task) if task is not None else {}).items():
            weight = self.layers[name].weight
            shared = weight if weight.requires_grad else weight.new_zeros(())
            terms = decomposition_penalty(
                shared,
                entry.mask_logits,
                entry.full_residual(),
                *((), (), ()),
                l1=self.l1,
                weight_decay=self.weight_decay,
            )
            total = total.to(weight) + sum(terms)
        return total

"""Networks whose tasks share slow weights and have rank-one fast weights of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.task_layers.functional.ensemble import fast_linear, fast_weight
from cl_strategies.plugins.task_layers.layers import (
    TaskConv2d,
    TaskEntry,
    TaskLayer,
    TaskLinear,
    own_bias,
)
from cl_strategies.plugins.task_layers.model import TaskModel
from cl_strategies.plugins.task_layers.task_tensors import Task
from cl_strategies.validation.hyperparameters import hyperparameters


class FastWeights(TaskEntry):
    """What a task stores for one layer.

    :param outputs: ``(J,)``.
    :param inputs: ``(I,)``.
    :param bias: ``(J,)``, or ``None`` for a layer without.
    """

    def __init__(self, outputs: Tensor, inputs: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.outputs = nn.Parameter(outputs.detach().clone())
        self.inputs = nn.Parameter(inputs.detach().clone())
        self.bias = own_bias(bias)

    def weight(self, shared: Tensor) -> Tensor:
        """Return the weights of the task (Eq. 1)."""
        return fast_weight(shared, *self.sources())

    def sources(self) -> tuple[Tensor, Tensor]:
        """Return the scales of the outputs and of the inputs."""
        return self.outputs, self.inputs


class _Ensemble(TaskLayer):
    """A layer of slow weights."""

    def add(self, task: str, *, start: str, first: str | None) -> None:
        """Give ``task`` fast weights and a bias; ``first`` as in :meth:`initial_bias`."""
        outputs, inputs = (self._drawn(size, start) for size in self.weight.shape[:2])
        if first is not None and start == "first":
            entry: Any = self.tasks[first]
            outputs, inputs = entry.sources()
        self.tasks[task] = FastWeights(outputs, inputs, self.initial_bias(first))

    def _drawn(self, size: int, start: str) -> Tensor:
        ones = self.weight.detach().new_ones(size)
        if start != "signs":
            return ones
        signs = torch.randint(0, 2, (size,), dtype=torch.bool)  # the same on every device
        return torch.where(signs.to(ones.device), ones, -ones)


class EnsembleLinear(_Ensemble, TaskLinear):
    """A linear layer with fast weights per task."""

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(..., I)``. :returns: ``(..., J)``."""
        if self.switch.cached or not self._factored_is_cheaper(x):
            return super().forward(x)
        entry = self.entry()
        return fast_linear(x, self.weight, entry.outputs, entry.inputs, entry.bias)


class EnsembleConv2d(_Ensemble, TaskConv2d):
    """A convolution with fast weights per task; with groups, ``I`` is that of one group."""


@hyperparameters
class EnsembleModel(TaskModel):
    """Every task has fast weights, biases, normalizations and a head; slow weights are shared.

    The first task trains the slow weights with its own fast weights, and they are then frozen
    (section 4.1, lifelong learning). See
    :class:`~cl_strategies.plugins.task_layers.model.TaskModel` for what else it does.

    :param network: what it says there.
    :raises UserError: if the network cannot be divided, or for another start.
    """

    method: ClassVar[str] = "batch-ensemble"
    kinds: ClassVar[Mapping[Any, Any]] = {
        nn.Linear: EnsembleLinear,
        nn.Conv2d: EnsembleConv2d,
    }

    def __init__(
        self,
        network: nn.Module,
        /,
        *,
        start: Annotated[
            Literal["signs", "ones", "first"],
            Doc(
                'Fast weights of a new task: ``"signs"``, 1 or -1 at random; ``"ones"``; or '
                '``"first"``, a copy of the first task\'s, which began with ones.'
            ),
        ] = "signs",
    ) -> None:
        super().__init__(network)
        self.start = start

    def begin_layers(self, task: Task) -> None:
        """Give every layer fast weights and a bias."""
        for layer in self.layers.values():
            layer.add(task.name, start=self.start, first=self.first_name(task))

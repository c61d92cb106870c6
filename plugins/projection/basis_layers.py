"""Layers whose weights are coefficients of a task in a basis of outputs that all tasks share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.plugins.low_rank.layers import FreeWeights
from cl_strategies.plugins.projection.functional.output_basis import (
    basis_coefficients,
    compose_weight,
    extend_output_basis,
)
from cl_strategies.plugins.task_layers.layers import (
    TaskConv2d,
    TaskEntry,
    TaskLayer,
    TaskLinear,
    own_bias,
)


class Coefficients(TaskEntry):
    """What a task stores for one layer: the columns that it added to the basis, and its own part.

    :param columns: ``(J, k)``, orthonormal to each other and to the columns of earlier tasks.
    :param coefficients: ``(r, I kh kw)``, for the ``r`` columns of this and all earlier tasks.
    :param bias: ``(J,)``, or ``None`` for a layer without.
    """

    columns: Tensor

    def __init__(self, columns: Tensor, coefficients: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("columns", columns.detach().clone())
        self.coefficients = nn.Parameter(coefficients.detach().clone())
        self.bias = own_bias(bias)


class _Projected(TaskLayer):
    """A layer whose tasks learn with free weights and are remembered by their coefficients.

    Tasks do not share a tensor that grows: each has the columns that it added, so that what older
    tasks compute with is the same tensors whatever comes later.
    """

    shape: torch.Size  # of the weights

    def _adopt(self, layer: nn.Linear | nn.Conv2d, switch: Any) -> None:
        super()._adopt(layer, switch)
        self.shape = layer.weight.shape

    def begin(self, task: str, weight: Tensor | None) -> None:
        """Let ``task`` learn with free weights.

        :param weight: what they begin with; those of the layer itself for the first task.
        """
        first: Any = next(iter(self.tasks.values()), self)
        start = self.weight if weight is None else weight
        self.tasks[task] = FreeWeights(start.to(next(self.parameters())), first.bias)
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    def make_room(self, task: str, shape: tuple[int, int] | None) -> None:
        """Make room for what ``task`` has, to be filled from a state.

        :param shape: columns that the task added, and rows of its coefficients; ``None`` if it
            still has free weights.
        """
        like = next(self.parameters()).detach()
        first: Any = next(iter(self.tasks.values()), self)
        if shape is None:
            entry: nn.Module = FreeWeights(like.new_zeros(self.shape), first.bias)
        else:
            columns = like.new_zeros(self.shape[0], shape[0])
            coefficients = like.new_zeros(shape[1], self.shape[1:].numel())
            entry = Coefficients(columns, coefficients, first.bias)
        self.tasks[task] = entry
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    def basis(self, entry: Any) -> Tensor:
        """Return the basis that a task knows, ``(J, r)``, column by column of all its tasks."""
        return torch.cat([known.columns for known in self.until(entry)], dim=1)

    def earlier_basis(self, task: str) -> Tensor:
        """Return the basis that the tasks before ``task`` have left, ``(J, r)``."""
        free: Any = self.tasks[task]
        known: list[Any] = self.until(free)[:-1]
        empty = free.weight.detach().new_zeros(self.shape[0], 0)
        return torch.cat([empty, *(entry.columns for entry in known)], dim=1)

    @torch.no_grad()
    def remember(self, task: str, representation: Tensor, threshold: float) -> Tensor:
        """Extend the basis for ``task``, and replace its free weights by coefficients.

        A basis that would be empty gets the leading direction, without which the layer would
        answer nothing but its bias.

        :param representation: outputs of the layer, ``(J, n)``, float64.
        :param threshold: share of them that the basis is to hold.
        :returns: the free weights.
        """
        free: Any = self.tasks[task]
        old = self.earlier_basis(task).double()
        basis = extend_output_basis(old, representation, threshold)
        if not basis.shape[1]:
            basis = extend_output_basis(old, representation, 1.0)[:, :1]
        coefficients = basis_coefficients(basis, free.weight.double())
        added = basis[:, old.shape[1] :].to(free.weight)
        self.tasks[task] = Coefficients(added, coefficients.to(free.weight), free.bias)
        return free.weight.detach()

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        """Return the weights and the bias of the current task."""
        entry = self.entry()
        return (entry.weight, entry.bias) if isinstance(entry, FreeWeights) else super().tensors()

    def weight_of(self, entry: Any) -> Tensor:
        """Return the weights of the task."""
        return compose_weight(self.basis(entry), entry.coefficients, self.shape)

    def sources(self, entry: Any) -> tuple[Tensor, ...]:
        """Return the coefficients of the task, and the columns that it knows, task by task."""
        return (entry.coefficients, *(known.columns for known in self.until(entry)))


class ProjectedLinear(_Projected, TaskLinear):
    """A linear layer with a basis of its outputs, and coefficients per task."""


class ProjectedConv2d(_Projected, TaskConv2d):
    """A convolution with a basis of its output channels, and coefficients per task."""

"""Layers that compute with the base weights and the perturbation of one task."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.plugins.low_rank.functional.decomposition import materialise
from cl_strategies.plugins.task_layers.layers import (
    TaskConv2d,
    TaskEntry,
    TaskLayer,
    TaskLinear,
    own_bias,
)


class FreeWeights(nn.Module):
    """Weights of a task that is warming up: a copy of the base, trained without constraints."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = own_bias(bias)


class Factors(TaskEntry):
    """What a task stores for one layer: scales, low-rank factors and its own bias.

    :param row: ``(J,)``.
    :param column: ``(I,)``.
    :param left: ``(J, k)``.
    :param right: ``(k, I)``.
    :param bias: ``(J,)``, or ``None`` for a layer without.
    """

    def __init__(
        self, row: Tensor, column: Tensor, left: Tensor, right: Tensor, bias: Tensor | None
    ) -> None:
        super().__init__()
        self.row = nn.Parameter(row.detach().clone())
        self.column = nn.Parameter(column.detach().clone())
        self.left = nn.Parameter(left.detach().clone())
        self.right = nn.Parameter(right.detach().clone())
        self.bias = own_bias(bias)

    @property
    def rank(self) -> int:
        """Number of components of the low-rank part."""
        return self.left.shape[1]

    def weight(self, shared: Tensor) -> Tensor:
        """Return the weights of the task (Eq. 6 and 7)."""
        return materialise(shared, *self.sources())

    def sources(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return row, column, left and right."""
        return self.row, self.column, self.left, self.right


class _Perturbed(TaskLayer):
    """What linear and convolutional layers share: base weights and an entry per later task."""

    def add_free(self, task: str) -> None:
        """Begin to warm up ``task`` from the base weights."""
        self.tasks[task] = FreeWeights(self.weight, self.bias)

    def add_empty(self, task: str, rank: int) -> None:
        """Make room for the factors of ``task``, to be filled from a state."""
        rows, columns = self.weight.shape[:2]
        new = self.weight.detach().new_zeros
        self.tasks[task] = Factors(
            new(rows), new(columns), new(rows, rank), new(rank, columns), self.bias
        )

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        """Return the weights and the bias of the current task."""
        entry = self.entry()
        return (entry.weight, entry.bias) if isinstance(entry, FreeWeights) else super().tensors()


class PerturbedLinear(_Perturbed, TaskLinear):
    """A linear layer with base weights and a low-rank perturbation per later task."""

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(..., I)``. :returns: ``(..., J)``."""
        entry = self.entry()
        if not isinstance(entry, Factors) or self.switch.cached or not self._factored_is_cheaper(x):
            return super().forward(x)
        y = F.linear(x * entry.column, self.weight) * entry.row
        if entry.rank:
            y = y + F.linear(F.linear(x, entry.right), entry.left)
        return y if entry.bias is None else y + entry.bias


class PerturbedConv2d(_Perturbed, TaskConv2d):
    """A convolution with base weights and a low-rank perturbation per later task."""


Perturbed = PerturbedLinear | PerturbedConv2d

"""Layers whose weights are rank-one matrices of all tasks so far, chosen by each task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.plugins.low_rank.functional.rank_update import (
    initial_selector,
    selected_weight,
)
from cl_strategies.plugins.task_layers.layers import (
    TaskConv2d,
    TaskEntry,
    TaskLayer,
    TaskLinear,
    own_bias,
)


class RankUpdate(TaskEntry):
    """What a task stores for one layer: the columns that it added, its selector and its bias.

    :param left: ``(J, k)``.
    :param right: ``(I, k)``, or ``(I kh kw, k)`` of a convolution.
    :param selector: ``(r,)``, a number for each column of this and all earlier tasks.
    :param bias: ``(J,)``, or ``None`` for a layer without.
    """

    def __init__(self, left: Tensor, right: Tensor, selector: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.left = nn.Parameter(left.detach().clone())
        self.right = nn.Parameter(right.detach().clone())
        self.selector = nn.Parameter(selector.detach().clone())
        self.bias = own_bias(bias)

    @property
    def rank(self) -> int:
        """Number of columns that the task added."""
        return self.left.shape[1]


class _Updated(TaskLayer):
    """A layer without weights of its own: the columns of its tasks take their place.

    The weights of the layer that it replaces are dropped with the first task.
    """

    shape: torch.Size  # of the weights

    def _adopt(self, layer: nn.Linear | nn.Conv2d, switch: Any) -> None:
        super()._adopt(layer, switch)
        self.shape = layer.weight.shape

    def add(self, task: str, rank: int) -> None:
        """Give ``task`` orthonormal columns, a selector of them alone, and a bias of zeros.

        :param rank: how many columns, or fewer if the matrix has fewer rows or columns.
        """
        like, inputs = next(self.parameters()).detach(), self.shape[1:].numel()
        rank = min(rank, self.shape[0], inputs)
        kind = torch.float64 if like.dtype == torch.float64 else torch.float32
        drawn = [
            nn.init.orthogonal_(torch.empty(size, rank, dtype=kind))  # the same on every device
            for size in (self.shape[0], inputs)
        ]
        left, right = (columns.to(like) for columns in drawn)
        self.put(task, left, right)

    def add_empty(self, task: str, rank: int) -> None:
        """Make room for ``rank`` columns of ``task``, to be filled from a state."""
        new, inputs = next(self.parameters()).detach().new_zeros, self.shape[1:].numel()
        self.put(task, new(self.shape[0], rank), new(inputs, rank))

    def put(self, task: str, left: Tensor, right: Tensor) -> None:
        """Give ``task`` these columns, and what else it has at the beginning."""
        earlier: list[Any] = [entry for name, entry in self.tasks.items() if name != task]
        selector = initial_selector(sum(entry.rank for entry in earlier), left.shape[1])
        first: Any = next(iter(self.tasks.values()), self)
        bias = first.bias
        if bias is not None and self.trains_bias:
            bias = torch.zeros_like(bias, requires_grad=True)
        self.tasks[task] = RankUpdate(left, right, selector.to(left), bias)
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    def columns(self, entry: TaskEntry) -> tuple[Tensor, Tensor]:
        """Return the columns that a task knows, ``(J, r)`` and ``(I kh kw, r)``."""
        known: list[Any] = self.until(entry)
        return torch.cat([e.left for e in known], 1), torch.cat([e.right for e in known], 1)

    def weight_of(self, entry: Any) -> Tensor:
        """Return the weights of the task."""
        return selected_weight(*self.columns(entry), entry.selector).view(self.shape)

    def sources(self, entry: Any) -> tuple[Tensor, ...]:
        """Return the selector of the task, and the columns that it knows, task by task."""
        known: list[Any] = self.until(entry)
        return (entry.selector, *(part for e in known for part in (e.left, e.right)))


class UpdatedLinear(_Updated, TaskLinear):
    """A linear layer whose weights grow by some rank with each task."""

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(..., I)``. :returns: ``(..., J)``."""
        if self.switch.cached or not self._factored_is_cheaper(x):
            return super().forward(x)
        entry = self.entry()
        left, right = self.columns(entry)
        y = F.linear(x @ right * entry.selector, left)
        return y if entry.bias is None else y + entry.bias


class UpdatedConv2d(_Updated, TaskConv2d):
    """A convolution whose unfolded kernels, ``(J, I kh kw)``, grow by some rank with each task."""

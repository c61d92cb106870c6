"""Layers of which every task uses some of the weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.plugins.quantization.conversion.packing import pack, unpack
from cl_strategies.plugins.subnetworks.selection import Selection
from cl_strategies.plugins.task_layers.layers import (
    TaskConv2d,
    TaskEntry,
    TaskLayer,
    TaskLinear,
    own_bias,
)


class Subnetwork(TaskEntry):
    """What a task stores for one layer: a mask, one bit per weight, and its own bias.

    :param shape: shape of the weights.
    :param bias: ``(J,)``, or ``None`` for a layer without.
    """

    packed: Tensor

    def __init__(self, shape: torch.Size, bias: Tensor | None) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("packed", torch.zeros(-(-shape.numel() // 8), dtype=torch.uint8))
        self.bias = own_bias(bias)

    def mask(self) -> Tensor:
        """Return which weights the task uses, bool."""
        return unpack(self.packed, 1, self.shape).bool()

    def weight(self, shared: Tensor) -> Tensor:
        """Return the shared weights where the mask is set, zero elsewhere."""
        return shared.masked_fill(~self.mask(), 0.0)

    def sources(self) -> tuple[Tensor]:
        """Return the packed mask."""
        return (self.packed,)


class _Scored(TaskLayer):
    """A layer whose current task has a score for every weight, which decides about its mask.

    :ivar scores: of the task in training, ``None`` between tasks.
    :ivar selection: how scores become a mask.
    """

    scores: Any
    selection: Selection
    _learning: str | None
    _used: Any
    _kept: Any

    def add(self, task: str, first: str | None) -> None:
        """Give ``task`` an empty mask and a bias; ``first`` as in :meth:`initial_bias`."""
        entry = Subnetwork(self.weight.shape, self.initial_bias(first))
        self.tasks[task] = entry.to(self.weight.device)

    def begin(self, task: str, scores: Tensor | None, selection: Selection) -> None:
        """Let ``task`` learn its scores, and the weights that no task before it uses.

        :param scores: to begin with; drawn at random if ``None``.
        :param selection: how they become a mask.
        """
        if scores is None:
            scores = torch.empty_like(self.weight)
            nn.init.kaiming_uniform_(scores, a=math.sqrt(5))
        self.scores = nn.Parameter(scores.detach().clone().to(self.weight))
        self.selection = selection
        self.weight.requires_grad_(True)
        self._learning = task
        self._used = self.used(before=task)
        self._kept = self.weight.detach().clone()

    def used(self, before: str | None = None) -> Tensor:
        """Return which weights some task uses, bool (M in Eq. 4); optionally only earlier tasks."""
        union: Tensor | None = None
        for task, entry in self.tasks.items():
            if task == before:
                break
            packed: Any = entry.packed
            union = packed.clone() if union is None else union.bitwise_or_(packed)
        if union is None:
            return torch.zeros_like(self.weight, dtype=torch.bool)
        return unpack(union, 1, self.weight.shape).bool()

    @torch.no_grad()
    def mask_gradient(self) -> None:
        """Clear the gradient of weights that earlier tasks use (Eq. 4)."""
        if self.weight.grad is not None:
            self.weight.grad.masked_fill_(self._used, 0.0)

    @torch.no_grad()
    def undo(self) -> None:
        """Undo any step of weights that earlier tasks use, such as that of weight decay."""
        self.weight.copy_(torch.where(self._used, self._kept, self.weight))

    @torch.no_grad()
    def settle(self) -> Tensor:
        """Store the mask of the task that was learning.

        :returns: its scores.
        """
        scores = self.scores.detach()
        entry: Any = self.tasks[self._learning or ""]
        entry.packed.copy_(pack(self.selection.mask(scores), 1))
        self._release()
        return scores

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        """Return the weights and the bias of the current task."""
        if self.scores is None or self.switch.task != self._learning:
            return super().tensors()
        return self.selection.weight(self.weight, self.scores), self.entry().bias

    def _adopt(self, layer: nn.Linear | nn.Conv2d, switch: Any) -> None:
        super()._adopt(layer, switch)
        self._release()

    def _release(self) -> None:
        self.register_parameter("scores", None)
        self._learning = self._used = self._kept = None


class ScoredLinear(_Scored, TaskLinear):
    """A linear layer with a mask per task."""


class ScoredConv2d(_Scored, TaskConv2d):
    """A convolution with a mask per task."""

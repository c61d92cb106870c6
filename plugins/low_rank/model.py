"""A network with a frozen base and a low-rank perturbation of it for every later task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.low_rank.layers import (
    Factors,
    FreeWeights,
    PerturbedConv2d,
    PerturbedLinear,
)
from cl_strategies.plugins.low_rank.storage_size import LayerRank, TaskSize, task_size
from cl_strategies.plugins.task_layers.conversion import head_modules
from cl_strategies.plugins.task_layers.model import TaskModel
from cl_strategies.plugins.task_layers.task_tensors import Task


class HALRPModel(TaskModel):
    """``network`` with weights, biases, normalizations and a head of its own for every task.

    The first task trains the network as it is: its weights are the base. A later task begins
    with a free copy of them, which :meth:`set_factors` then replaces by scales and a low-rank
    part. What belongs to a finished task is frozen, in evaluation mode, and does not change its
    outputs by a single bit when others are learned.

    See :class:`~cl_strategies.plugins.task_layers.model.TaskModel` for the parameters. Evaluation
    of a small batch uses the factors, of a large one materialized weights.
    """

    method: ClassVar[str] = "HALRP"
    kinds: ClassVar[Mapping[Any, Any]] = {
        nn.Linear: PerturbedLinear,
        nn.Conv2d: PerturbedConv2d,
    }

    def __init__(self, network: nn.Module, /) -> None:
        super().__init__(network)
        self._selected: dict[int, dict[str, int]] = {}

    @property
    def warming_up(self) -> bool:
        """Whether the current task still has free weights."""
        task = self.current
        return task is not None and any(
            isinstance(entry, FreeWeights) for entry in self.entries(task).values()
        )

    def factors(self, task: Task) -> dict[str, Factors]:
        """Return the factors of ``task`` by layer; none for the base task or in the warm-up."""
        entries = self.entries(task)
        return {name: entry for name, entry in entries.items() if isinstance(entry, Factors)}

    def begin_layers(self, task: Task) -> None:
        """Give every task but the first a free copy of the base weights."""
        if task.name != self.switch.base:
            for layer in self.layers.values():
                layer.add_free(task.name)

    def set_factors(
        self, factors: Mapping[str, Sequence[Tensor]], *, selected: Sequence[int] = ()
    ) -> None:
        """End the warm-up of the current task.

        :param factors: row, column, left and right of every layer, by name.
        :param selected: ranks that were chosen before the size was capped, for :meth:`ranks`;
            those of the factors if empty.
        :raises UserError: if no task is warming up.
        """
        task = self.current
        if task is None or not self.warming_up:
            raise UserError("no task is warming up: factors replace the free weights of one")
        for name, layer in self.layers.items():
            row, column, left, right = factors[name]
            bias = layer.tasks[task.name].bias
            layer.tasks[task.name] = Factors(row, column, left, right, bias)
        if selected:
            self._selected[task.label] = dict(zip(self.layers, selected, strict=True))

    def ranks(self) -> dict[int, dict[str, LayerRank]]:
        """Return the ranks of every later task that was decomposed, by label and by layer."""
        found = {}
        for task in self.tasks:
            kept = {name: factors.rank for name, factors in self.factors(task).items()}
            selected = self._selected.get(task.label, kept)
            if kept:
                found[task.label] = {n: LayerRank(selected[n], rank) for n, rank in kept.items()}
        return found

    # ------------------------------------------------------------------ sizes

    def sizes(self) -> dict[int, TaskSize]:
        """Return what each task after the first stores, by label."""
        return {
            task.label: task_size(
                self.entries(task).values(),
                self.norms_of(task),
                head_modules(self.head, task.name),
            )
            for task in self.tasks[1:]
        }

    def growth(self, *, zeros: bool = False) -> float:
        """Return what all tasks after the first store, relative to :meth:`base_size`.

        :param zeros: count pruned entries of the low-rank factors, too.
        """
        stored = sum(size.total for size in self.sizes().values())
        if zeros:
            factors = [f for task in self.tasks for f in self.factors(task).values()]
            low_rank = [tensor for f in factors for tensor in (f.left, f.right)]
            stored += sum(t.numel() - int(torch.count_nonzero(t)) for t in low_rank)
        return stored / self.base_size()

    def pruned_bytes(self) -> int:
        """Return the bytes that zeros in the low-rank factors save.

        A factor of finished tasks takes its other entries and one bit for each entry, or all its
        entries where that is less.
        """
        saved = 0
        for task in self.tasks:
            for entry in self.factors(task).values():
                for factor in (entry.left, entry.right):
                    zeros = factor.numel() - int(torch.count_nonzero(factor))
                    saved += max(zeros * factor.element_size() - -(-factor.numel() // 8), 0)
        return saved

    # ------------------------------------------------------------------ state

    def describe(self, task: Task) -> dict[str, Any]:
        """Return the rank of each layer, ``None`` for free weights, and those before the cap."""
        entries = self.entries(task).items()
        return {
            "ranks": {
                name: entry.rank if isinstance(entry, Factors) else None for name, entry in entries
            },
            "selected": dict(self._selected.get(task.label, {})),
        }

    def restore_layers(self, task: Task, saved: Mapping[str, Any]) -> None:
        """Give the layers room for the ranks of ``saved``."""
        if task.name == self.switch.base:
            return
        self._selected.pop(task.label, None)
        if saved.get("selected"):
            self._selected[task.label] = dict(saved["selected"])
        for name, layer in self.layers.items():
            rank = saved["ranks"][name]
            if rank is None:
                layer.add_free(task.name)
            else:
                layer.add_empty(task.name, rank)

"""One network, and a subnetwork of it for every task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from cl_strategies.plugins.subnetworks.layers import ScoredConv2d, ScoredLinear
from cl_strategies.plugins.subnetworks.selection import Selection
from cl_strategies.plugins.task_layers.model import TaskModel
from cl_strategies.plugins.task_layers.network import Task


class SubnetworkModel(TaskModel):
    """Every task selects some of the shared weights; those of earlier tasks it may not change.

    A task also has biases, normalisations and a head of its own. The masks are stored with one
    bit per weight. See :class:`~cl_strategies.plugins.task_layers.model.TaskModel` for what else
    it does; here later tasks train the shared weights, too, where no task before uses them.

    :param network: what it says there.
    :param capacity: fraction of the weights of each layer that a task uses.
    :param ranking: see :class:`~cl_strategies.plugins.subnetworks.selection.Selection`.
    :param fresh_scores: draw the scores of each task anew, instead of going on from those of the
        task before (Algorithm 1).
    :ivar scores: those of the last task by layer, needed only to learn another.
    :raises UserError: if the network cannot be divided, for a capacity out of range, or another
        ranking.
    """

    method: ClassVar[str] = "WSN"
    kinds: ClassVar[Mapping[Any, Any]] = {nn.Linear: ScoredLinear, nn.Conv2d: ScoredConv2d}

    def __init__(
        self,
        network: nn.Module,
        *,
        capacity: float = 0.5,
        ranking: str = "magnitude",
        fresh_scores: bool = False,
    ) -> None:
        selection = Selection(capacity=capacity, ranking=ranking)
        super().__init__(network)
        self.selection = selection
        self.fresh_scores = fresh_scores
        self.scores: dict[str, Tensor] = {}

    def begin_layers(self, task: Task) -> None:
        """A mask and a bias for every layer, and scores to learn the mask with."""
        self.restore_layers(task, {})
        for name, layer in self.layers.items():
            layer.begin(task.name, self.scores.get(name), self.selection)

    def restore_layers(self, task: Task, saved: Mapping[str, Any]) -> None:
        """A mask and a bias for every layer."""
        for layer in self.layers.values():
            layer.add(task.name, self.first_name(task))

    def parameters_of(self, task: Task) -> list[nn.Parameter]:
        """Every task trains its scores and the shared weights, besides what it has alone."""
        own = [p for module in self.modules_of(task) for p in module.parameters()]
        learning = task is self.current
        scores = [layer.scores for layer in self.layers.values() if learning]
        return [*self.shared_parameters(), *(s for s in scores if s is not None), *own]

    def protect(self) -> None:
        """Call after each backward pass (Eq. 4)."""
        for layer in self.layers.values():
            layer.mask_gradient()

    def restore(self) -> None:
        """Call after each step of the optimizer."""
        for layer in self.layers.values():
            layer.undo()

    def finish(self) -> None:
        """Store the masks of the current task, and freeze it."""
        if self.current is not None:
            learned = {
                name: layer.settle()
                for name, layer in self.layers.items()
                if layer.scores is not None
            }
            self.scores = {} if self.fresh_scores else learned
        super().finish()

    def used(self) -> float:
        """The fraction of the shared weights that some task uses; 0 if all layers are frozen."""
        layers = self.layers.values()
        used = sum(int(layer.used().sum()) for layer in layers)
        return used / max(1, sum(layer.weight.numel() for layer in layers))

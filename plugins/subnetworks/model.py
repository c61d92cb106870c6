"""One network, and a subnetwork of it for every task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.subnetworks.layers import ScoredConv2d, ScoredLinear
from cl_strategies.plugins.subnetworks.selection import Selection
from cl_strategies.plugins.task_layers.model import TaskModel
from cl_strategies.plugins.task_layers.task_tensors import Task
from cl_strategies.validation.hyperparameters import build_part, hyperparameters
from cl_strategies.validation.parameter import Equation


@hyperparameters
class SubnetworkModel(TaskModel):
    """Every task selects some of the shared weights; those of earlier tasks it may not change.

    A task also has biases, normalizations and a head of its own. The masks are stored with one
    bit per weight. See :class:`~cl_strategies.plugins.task_layers.model.TaskModel` for what else
    it does; here later tasks train the shared weights, too, where no task before uses them.

    :param network: what it says there.
    :ivar scores: those of the last task by layer, needed only to learn another.
    :raises UserError: if the network cannot be divided, or for an option out of its range.
    """

    method: ClassVar[str] = "WSN"
    parts: ClassVar[tuple[Callable[..., Any], ...]] = (Selection,)
    kinds: ClassVar[Mapping[Any, Any]] = {nn.Linear: ScoredLinear, nn.Conv2d: ScoredConv2d}

    def __init__(
        self,
        network: nn.Module,
        /,
        *,
        fresh_scores: Annotated[
            bool,
            Doc(
                "Draw the scores of each task anew, instead of going on from those of the task "
                "before; nothing is then kept besides the model."
            ),
            Equation("Algorithm 1"),
        ] = False,
        **options: Any,
    ) -> None:
        selection: Selection = build_part(Selection, options)
        super().__init__(network, **options)
        self.selection = selection
        self.fresh_scores = fresh_scores
        self.scores: dict[str, Tensor] = {}

    def begin_layers(self, task: Task) -> None:
        """Give every layer a mask and a bias, and scores to learn the mask with."""
        self.restore_layers(task, {})
        for name, layer in self.layers.items():
            layer.begin(task.name, self.scores.get(name), self.selection)

    def restore_layers(self, task: Task, saved: Mapping[str, Any]) -> None:
        """Give every layer a mask and a bias."""
        for layer in self.layers.values():
            layer.add(task.name, self.first_name(task))

    def parameters_of(self, task: Task) -> list[nn.Parameter]:
        """Return the scores, the shared weights and what ``task`` has alone: all that it trains."""
        own = [p for module in self.modules_of(task) for p in module.parameters()]
        learning = task is self.current
        scores = [layer.scores for layer in self.layers.values() if learning]
        return [*self.shared_parameters(), *(s for s in scores if s is not None), *own]

    def protect(self) -> None:
        """Clear the gradients of weights of earlier tasks, after each backward pass (Eq. 4)."""
        for layer in self.layers.values():
            layer.mask_gradient()

    def restore(self) -> None:
        """Restore the weights of earlier tasks, after each step of the optimizer."""
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
        """Return the fraction of the shared weights that some task uses; 0 if all are frozen."""
        layers = self.layers.values()
        used = sum(int(layer.used().sum()) for layer in layers)
        return used / max(1, sum(layer.weight.numel() for layer in layers))

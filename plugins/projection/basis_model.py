"""A network that learns freely and remembers its tasks in shared bases (BMKP)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.low_rank.layers import FreeWeights
from cl_strategies.plugins.projection.basis_layers import (
    Coefficients,
    ProjectedConv2d,
    ProjectedLinear,
)
from cl_strategies.plugins.projection.functional.output_basis import basis_penalty
from cl_strategies.plugins.projection.layer_outputs import collect_outputs
from cl_strategies.plugins.task_layers.model import TaskModel
from cl_strategies.plugins.task_layers.task_tensors import Task
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class BasisModel(TaskModel):
    """Every task has coefficients in a basis of the outputs of each layer, which tasks extend.

    A task learns with free weights, the working memory; :meth:`remember` then replaces them by
    coefficients, the long-term memory. A task also has biases, normalizations and a head of its
    own. See :class:`~cl_strategies.plugins.task_layers.model.TaskModel` for what else it does.

    :param network: what it says there.
    :ivar working: the free weights of the last task by layer, needed only to learn another.
    :raises UserError: if the network cannot be divided, or for a threshold out of its range.
    """

    method: ClassVar[str] = "BMKP"
    kinds: ClassVar[Mapping[Any, Any]] = {nn.Linear: ProjectedLinear, nn.Conv2d: ProjectedConv2d}

    def __init__(
        self,
        network: nn.Module,
        /,
        *,
        first_threshold: Annotated[
            float,
            Ge(0),
            Le(1),
            Doc(
                "Share of the squared norm of a layer's outputs that its basis holds after the "
                "first task, just below it. The authors use 0.96 on CIFAR-10 and 0.97 on "
                "Tiny-ImageNet."
            ),
        ] = 0.99,
        threshold: Annotated[
            float,
            Ge(0),
            Le(1),
            Doc(
                "The same for each later task, at least. The authors use 0.96 on CIFAR-10, too, "
                "and 0.957 on Tiny-ImageNet."
            ),
        ] = 0.99,
    ) -> None:
        super().__init__(network)
        self.first_threshold, self.threshold = first_threshold, threshold
        self.working: dict[str, Tensor] = {}

    @property
    def learning(self) -> bool:
        """Whether the current task still has free weights."""
        task = self.current
        entries = {} if task is None else self.entries(task)
        return any(isinstance(entry, FreeWeights) for entry in entries.values())

    def begin_layers(self, task: Task) -> None:
        """Let every layer learn with free weights, which go on from those of the last task."""
        for name, layer in self.layers.items():
            layer.begin(task.name, self.working.get(name))

    def penalty(self) -> Tensor | None:
        """Return L_mu of the free weights, summed over layers; ``None`` in the first task, too."""
        task = self.current
        if task is None or not self.first_name(task) or not self.learning:
            return None
        terms = [
            basis_penalty(layer.earlier_basis(task.name), layer.tasks[task.name].weight)
            for layer in self.layers.values()
        ]
        total: Tensor = sum(terms[1:], terms[0])
        return total

    def remember(self, batches: Iterable[Any]) -> None:
        """Extend the bases by what the layers answer, and replace free weights by coefficients.

        :param batches: tuples of inputs and task labels of the current task.
        """
        task = self.current
        if task is None or not self.learning:
            return
        found = collect_outputs(self, self.layers, batches)
        threshold = self.threshold if self.first_name(task) else self.first_threshold
        self.working = {
            name: layer.remember(task.name, found[name], threshold)
            for name, layer in self.layers.items()
        }

    def ranks(self) -> dict[int, dict[str, int]]:
        """Return the number of basis vectors that each task uses, by label and by layer."""
        return {
            task.label: {
                name: len(entry.coefficients)
                for name, entry in self.entries(task).items()
                if isinstance(entry, Coefficients)
            }
            for task in self.tasks
        }

    # ------------------------------------------------------------------ state

    def describe(self, task: Task) -> dict[str, Any]:
        """Return the columns added and the rows of coefficients; ``None`` for free weights."""
        return {
            "shapes": {
                name: [entry.columns.shape[1], len(entry.coefficients)]
                if isinstance(entry, Coefficients)
                else None
                for name, entry in self.entries(task).items()
            }
        }

    def restore_layers(self, task: Task, saved: Mapping[str, Any]) -> None:
        """Give the layers room for what ``saved`` describes."""
        for name, layer in self.layers.items():
            layer.make_room(task.name, saved["shapes"][name])

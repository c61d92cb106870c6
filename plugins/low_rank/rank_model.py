"""A network whose weights grow by some rank with every task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import nn
from typing_extensions import Doc

from cl_strategies.plugins.low_rank.rank_layers import UpdatedConv2d, UpdatedLinear
from cl_strategies.plugins.task_layers.model import TaskModel
from cl_strategies.plugins.task_layers.task_tensors import Task
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class RankUpdateModel(TaskModel):
    """Every task adds a few rank-one matrices to each layer, and weighs them and all older ones.

    A task also has biases, normalizations and a head of its own. The weights that ``network`` was
    handed in with are replaced when the first task begins, unless they are frozen. See
    :class:`~cl_strategies.plugins.task_layers.model.TaskModel` for what else it does.

    :param network: what it says there.
    :raises UserError: if the network cannot be divided, or for a rank out of its range.
    """

    method: ClassVar[str] = "IRU"
    kinds: ClassVar[Mapping[Any, Any]] = {nn.Linear: UpdatedLinear, nn.Conv2d: UpdatedConv2d}

    def __init__(
        self,
        network: nn.Module,
        /,
        *,
        first_rank: Annotated[
            int,
            Ge(1),
            Doc(
                "Rank of the weights of the first task, r_1 in the paper; never more than the "
                "smaller side of the weights."
            ),
        ] = 11,
        added_rank: Annotated[
            int, Ge(1), Doc("Rank that each later task adds, r_2 in the paper; the same limit.")
        ] = 1,
    ) -> None:
        super().__init__(network)
        self.first_rank, self.added_rank = first_rank, added_rank

    def begin_layers(self, task: Task) -> None:
        """Give every layer new columns, a selector and a bias."""
        rank = self.added_rank if self.first_name(task) else self.first_rank
        for layer in self.layers.values():
            layer.add(task.name, rank)

    def describe(self, task: Task) -> dict[str, Any]:
        """Return the number of columns that ``task`` added to each layer."""
        return {"ranks": {name: entry.rank for name, entry in self.entries(task).items()}}

    def restore_layers(self, task: Task, saved: Mapping[str, Any]) -> None:
        """Give the layers room for the columns of ``saved``."""
        for name, layer in self.layers.items():
            layer.add_empty(task.name, saved["ranks"][name])

    def ranks(self) -> dict[int, dict[str, int]]:
        """Return how many columns each task added, by label and by layer."""
        return {task.label: self.describe(task)["ranks"] for task in self.tasks}

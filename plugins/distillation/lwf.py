"""Learning without forgetting (Li and Hoiem, ECCV 2016)."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Annotated, Any

from annotated_types import Ge, Gt
from avalanche.training.regularization import LearningWithoutForgetting
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.classes.class_order import labels_by_task
from cl_strategies.plugins.loss_terms.loss_term import LossTermPlugin
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Alias


@hyperparameters
class LwFPlugin(LossTermPlugin):
    """Distill from the network as it was before the experience (Li and Hoiem, ECCV 2016).

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        strength: Annotated[
            float, Ge(0), Doc("Weight of the distillation loss."), Alias("alpha")
        ] = 1.0,
        temperature: Annotated[
            float, Gt(0), Doc("Temperature of the softmax in the distillation.")
        ] = 2.0,
    ) -> None:
        super().__init__()
        self.lwf = FrozenTeacherLwF(strength, temperature)

    def loss_term(self, strategy: TrainingStrategy) -> Any:
        """Return the distillation loss; 0 in the first experience."""
        return self.lwf(strategy.mb_x, strategy.mb_output, strategy.model)

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self.lwf.post_adapt(strategy, strategy.experience)


class FrozenTeacherLwF(LearningWithoutForgetting):
    """Avalanche's LwF with a teacher in evaluation mode.

    Avalanche's teacher stays in training mode: its dropout is active and its batch statistics
    drift with every mini-batch of the new task. Old classes are also taken in the order of
    their ids, so that sums do not depend on how a ``set`` came about. Samples without task labels
    count as those of one task.
    """

    def post_adapt(self, agent: Any, exp: Any) -> None:
        self.expcount += 1
        self.prev_model = copy.deepcopy(agent.model).eval().requires_grad_(False)
        for task, classes in labels_by_task(exp.dataset).items():
            self.prev_classes_by_task[task].update(classes)

    def _distillation_loss(
        self, out: Tensor, prev_out: Tensor, active_units: Iterable[int]
    ) -> Tensor:
        return super()._distillation_loss(out, prev_out, sorted(active_units))

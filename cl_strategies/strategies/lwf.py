"""Learning without forgetting."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from avalanche.training.regularization import LearningWithoutForgetting
from torch import Tensor

from cl_strategies.models.classes import labels_by_task
from cl_strategies.plugins.regularization.loss_term import LossTermPlugin
from cl_strategies.ranges import not_negative, positive
from cl_strategies.strategies.base import Strategy


class LwF(Strategy):
    """LwF (Li and Hoiem, ECCV 2016).

    :param alpha: weight of the distillation loss.
    :param temperature: softmax temperature of the distillation.
    :raises UserError: for an option out of its range.
    """

    def __init__(self, *, alpha: float = 1.0, temperature: float = 2.0, **template: Any) -> None:
        not_negative(alpha=alpha)
        positive(temperature=temperature)
        super().__init__(method=[DistillationPlugin(alpha, temperature)], **template)


class DistillationPlugin(LossTermPlugin):
    """Distills from the network as it was before the experience.

    :param alpha: weight of the distillation loss.
    :param temperature: softmax temperature of the distillation.
    """

    def __init__(self, alpha: float, temperature: float) -> None:
        super().__init__()
        self.lwf = FrozenTeacherLwF(alpha, temperature)

    def loss_term(self, strategy: Any) -> Any:
        """The distillation loss; 0 in the first experience."""
        return self.lwf(strategy.mb_x, strategy.mb_output, strategy.model)

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
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

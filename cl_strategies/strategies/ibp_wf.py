"""IBP-WF (Mehta, Liang, Verma, Carin, "Continual Learning using a Bayesian Nonparametric Dictionary
of Weight Factors", AISTATS 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

from cl_strategies.plugins.bayesian.factor_model import FactorModel
from cl_strategies.plugins.loss_terms.loss_scale import LossScale
from cl_strategies.plugins.loss_terms.loss_term import ParameterPenalty
from cl_strategies.strategies.templates.task_model import TaskModelStrategy


class IBPWF(TaskModelStrategy):
    """Weights made of shared factors; every task selects some, and trains those that are free.

    The selection of a task is a variational posterior under an Indian buffet process, and is
    learned together with the factors, their strengths and the head. Factors that a task uses never
    change afterwards, so that the outputs of old tasks do not, either. The last epochs of a task
    fine-tune without randomness, with an optimizer that begins anew.

    The gradient of the divergence from the prior, divided by the number of samples of the task, is
    added after the backward pass. The authors use Adam with a rate of 1e-3.
    """

    model: FactorModel
    model_class = FactorModel

    def __init__(
        self,
        *,
        finetune_share: Annotated[
            float,
            Ge(0),
            Le(1),
            Doc(
                "Fraction of the epochs of a task, rounded, that fine-tune with the expected "
                "selection. The authors fine-tune for 5 of 25 epochs."
            ),
        ] = 0.2,
        clip: Annotated[
            float | None,
            Gt(0),
            Doc("Largest magnitude of an entry of a gradient; ``None`` does not clip."),
        ] = 0.5,
        **options: Any,
    ) -> None:
        self.finetune_share, self.clip = finetune_share, clip
        self._penalty, self._scale, self._factor = ParameterPenalty(), LossScale(), 1.0
        super().__init__(**options)

    def _before_training_exp(self, **kwargs: Any) -> None:
        self._penalty.begin()
        self._scale, self._factor = LossScale(), 1.0
        super()._before_training_exp(**kwargs)

    def _before_training_epoch(self, **kwargs: Any) -> None:
        last = round(self.finetune_share * self.train_epochs)
        done = self.clock.train_exp_epochs
        if not self.model.fine_tuning and done >= self.train_epochs - last:
            self.model.begin_fine_tuning()
            self.make_optimizer()
        super()._before_training_epoch(**kwargs)

    def _before_backward(self, **kwargs: Any) -> None:
        divergence = self.model.divergence()
        if divergence is not None:
            self._penalty.before_backward(self, divergence / len(self.experience.dataset))
        super()._before_backward(**kwargs)
        self._scale.before_backward(self)

    # Callbacks, so that a subclass may replace backward() and optimizer_step().

    def _after_backward(self, **kwargs: Any) -> None:
        """Add the gradient of the divergence, and clear those of factors of earlier tasks."""
        self._factor = self._scale.after_backward(self)
        self._penalty.after_backward(self)
        self.model.protect()
        super()._after_backward(**kwargs)

    def _before_update(self, **kwargs: Any) -> None:
        """Clip the gradients entry by entry."""
        if self.clip is not None:
            limit = self.clip * self._factor
            parameters = self.optimizer.param_groups[0]["params"]
            torch.nn.utils.clip_grad_value_(parameters, limit)
        super()._before_update(**kwargs)

    def _after_update(self, **kwargs: Any) -> None:
        """Undo any step of factors of earlier tasks, whatever the optimizer does."""
        self.model.restore()
        super()._after_update(**kwargs)

    def method_state_dict(self) -> dict[str, Any]:
        """Return the tasks of the model, and the prior of the next one."""
        return {**super().method_state_dict(), "sticks": dict(self.model.sticks)}

    def load_method_state_dict(
        self, state: Mapping[str, Any], experiences: Sequence[Any] = ()
    ) -> None:
        """Give the model the tasks and the prior of ``state``."""
        super().load_method_state_dict(state, experiences)
        self.model.sticks = dict(state["sticks"])

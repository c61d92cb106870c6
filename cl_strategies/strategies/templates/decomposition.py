"""What strategies share whose tasks mask shared weights and add residuals: the penalty."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.loss_terms.loss_term import ParameterPenalty
from cl_strategies.plugins.task_layers.decomposed_model import DecomposedModel, Held
from cl_strategies.strategies.templates.task_model import TaskModelStrategy


class DecompositionStrategy(TaskModelStrategy):
    """Train a :class:`~cl_strategies.plugins.task_layers.decomposed_model.DecomposedModel`.

    The penalty of the model counts once per step of the optimizer; ``strategy.loss`` holds it.
    """

    model: DecomposedModel

    def __init__(self, **options: Any) -> None:
        self._penalty = ParameterPenalty()
        self._held: Held = {}
        super().__init__(**options)

    def _before_training_exp(self, **kwargs: Any) -> None:
        self._penalty.begin()
        super()._before_training_exp(**kwargs)
        self._held = self.model.hold()

    def _before_backward(self, **kwargs: Any) -> None:
        super()._before_backward(**kwargs)
        self._penalty.before_backward(self, self.model.penalty(self._held))

    def _after_backward(self, **kwargs: Any) -> None:
        self._penalty.after_backward(self)
        super()._after_backward(**kwargs)

    def _after_training_exp(self, **kwargs: Any) -> None:
        super()._after_training_exp(**kwargs)
        self._penalty.begin()
        self._held = {}

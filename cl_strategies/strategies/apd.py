"""APD (Yoon, Kim, Yang, Hwang, "Scalable and Order-robust Continual Learning with Additive
Parameter Decomposition", ICLR 2020)."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.task_layers.apd_model import APDModel
from cl_strategies.strategies.templates.decomposition import DecompositionStrategy


class APD(DecompositionStrategy):
    """Shared weights, and for every task a mask of their outputs and a sparse residual.

    All tasks train the shared weights. The residuals of earlier tasks are trained along, so that
    the weights of those tasks stay near what they were when the new one began. After every few
    tasks, residuals that are alike become one.

    Every task also has its own biases, normalizations and head. The authors use Adam with a rate
    of 1e-3.
    """

    model: APDModel
    model_class = APDModel
    can_forget = True

    @property
    def fixed_tasks(self) -> bool:
        """The weights of finished tasks drift."""
        return False

    def _after_training_exp(self, **kwargs: Any) -> None:
        super()._after_training_exp(**kwargs)
        self.model.consolidate()

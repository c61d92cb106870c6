"""WSN (Kang, Mina, Madjid, Yoon, Hasegawa-Johnson, Hwang, Yoo, "Forget-free Continual Learning
with Winning Subnetworks", ICML 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cl_strategies.plugins.subnetworks.model import SubnetworkModel
from cl_strategies.strategies.templates.task_model import TaskModelStrategy


class WSN(TaskModelStrategy):
    """One network for all tasks; every task uses those of its weights that have the top scores.

    Weights and scores are trained together. Weights that an earlier task uses are reused as they
    are and never change, so that the outputs of old tasks do not, either. Biases, normalizations
    and the head are those of the task alone.

    Masks take one bit per weight and task; the scores that the next task begins with are state of
    the method, not of the model. The authors use Adam with a rate of 1e-3.
    """

    model: SubnetworkModel
    model_class = SubnetworkModel

    # Callbacks, so that a subclass may replace backward() and optimizer_step().

    def _after_backward(self, **kwargs: Any) -> None:
        """Clear the gradients of weights of earlier tasks (Eq. 4)."""
        self.model.protect()
        super()._after_backward(**kwargs)

    def _after_update(self, **kwargs: Any) -> None:
        """Undo any step of weights of earlier tasks, whatever the optimizer does."""
        self.model.restore()
        super()._after_update(**kwargs)

    def method_state_dict(self) -> dict[str, Any]:
        """Return the tasks of the model, and the scores that the next one begins with."""
        return {**super().method_state_dict(), "scores": dict(self.model.scores)}

    def load_method_state_dict(
        self, state: Mapping[str, Any], experiences: Sequence[Any] = ()
    ) -> None:
        """Give the model the tasks and the scores of ``state``."""
        super().load_method_state_dict(state, experiences)
        self.model.scores = dict(state["scores"])

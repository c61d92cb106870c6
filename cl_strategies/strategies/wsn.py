"""WSN (Kang, Mina, Madjid, Yoon, Hasegawa-Johnson, Hwang, Yoo, "Forget-free Continual Learning
with Winning Subnetworks", ICML 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from cl_strategies.plugins.subnetworks.model import SubnetworkModel
from cl_strategies.strategies.left_out import copy_to_train, freeze_left_out
from cl_strategies.strategies.task_model import TaskModelStrategy


class WSN(TaskModelStrategy):
    """One network for all tasks; every task uses those of its weights that have the top scores.

    Weights and scores are trained together. Weights that an earlier task uses are reused as they
    are and never change, so that the outputs of old tasks do not, either. Biases, normalisations
    and the head are those of the task alone.

    ``strategy.model`` is a :class:`~cl_strategies.plugins.subnetworks.model.SubnetworkModel`
    around a copy of ``model``. Masks take one bit per weight and task; the scores
    that the next task begins with are state of the method, not of the model.

    :param model: Linear, Conv2d and normalisation layers below a multi-head classifier.
    :param optimizer: with one group of parameters; the authors use Adam with a rate of 1e-3.
    :param capacity: fraction of the weights of each layer that a task uses, ``c`` in the paper.
    :param ranking: ``"magnitude"``: the top scores are those with the largest absolute values, as
        in the authors' code; ``"value"``: as printed.
    :param fresh_scores: draw the scores of each task anew; nothing is then kept besides the model.
    :param template: arguments of :class:`~cl_strategies.strategies.base.Strategy`.
    :raises UserError: for a model that cannot be divided into tasks, an option out of range, or an
        optimizer with several groups.
    """

    model: SubnetworkModel

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        capacity: float = 0.5,
        ranking: str = "magnitude",
        fresh_scores: bool = False,
        **template: Any,
    ) -> None:
        if isinstance(model, SubnetworkModel):
            freeze_left_out(model, optimizer)
        else:
            model = SubnetworkModel(
                copy_to_train(model, optimizer),
                capacity=capacity,
                ranking=ranking,
                fresh_scores=fresh_scores,
            )
        super().__init__(model=model, optimizer=optimizer, **template)

    # Callbacks, so that a subclass may replace backward() and optimizer_step().

    def _after_backward(self, **kwargs: Any) -> None:
        """Let weights of earlier tasks have no gradient (Eq. 4)."""
        self.model.protect()
        super()._after_backward(**kwargs)

    def _after_update(self, **kwargs: Any) -> None:
        """Take back any step of weights of earlier tasks, whatever the optimizer does."""
        self.model.restore()
        super()._after_update(**kwargs)

    def method_state_dict(self) -> dict[str, Any]:
        """Which tasks the model has, and the scores that the next one begins with."""
        return {**super().method_state_dict(), "scores": dict(self.model.scores)}

    def load_method_state_dict(
        self, state: Mapping[str, Any], experiences: Sequence[Any] = ()
    ) -> None:
        """Give the model the tasks and the scores of ``state``."""
        super().load_method_state_dict(state, experiences)
        self.model.scores = dict(state["scores"])

"""BatchEnsemble (Wen, Tran, Ba, "BatchEnsemble: an Alternative Approach to Efficient Ensemble and
Lifelong Learning", ICLR 2020) in its lifelong setting."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer

from cl_strategies.plugins.task_layers.ensemble import EnsembleModel
from cl_strategies.strategies.left_out import copy_to_train, freeze_left_out
from cl_strategies.strategies.task_model import TaskModelStrategy


class BatchEnsemble(TaskModelStrategy):
    """Slow weights of the first task, frozen; rank-one fast weights for every task.

    The weights of a task are the slow ones times the outer product of two vectors, elementwise.
    Every task also has its own biases, normalisations and head. What belongs to an old task never
    changes, and neither do its outputs.

    ``strategy.model`` is an :class:`~cl_strategies.plugins.task_layers.ensemble.EnsembleModel`
    around a copy of ``model``.

    :param model: Linear, Conv2d and normalisation layers below a multi-head classifier.
    :param optimizer: with one group of parameters.
    :param start: fast weights of a new task: ``"signs"`` (1 or -1 at random), ``"ones"``, or
        ``"first"`` (a copy of the first task's, which began with ones).
    :param template: arguments of :class:`~cl_strategies.strategies.base.Strategy`.
    :raises UserError: for a model that cannot be divided into tasks, another start, or an
        optimizer with several groups.
    """

    model: EnsembleModel

    def __init__(
        self, *, model: nn.Module, optimizer: Optimizer, start: str = "signs", **template: Any
    ) -> None:
        if isinstance(model, EnsembleModel):
            freeze_left_out(model, optimizer)
        else:
            model = EnsembleModel(copy_to_train(model, optimizer), start=start)
        super().__init__(model=model, optimizer=optimizer, **template)

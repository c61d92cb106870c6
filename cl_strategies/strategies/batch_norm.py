"""Per-task batch normalisation: the first task's weights under every task's own statistics."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer

from cl_strategies.plugins.task_layers.normalisation import NormalisationModel
from cl_strategies.strategies.left_out import copy_to_train, freeze_left_out
from cl_strategies.strategies.task_model import TaskModelStrategy


class PerTaskBatchNorm(TaskModelStrategy):
    """Weights of the first task, frozen; normalisations and a head of its own for every task.

    "BN-Tuned" in Wen, Tran, Ba, "BatchEnsemble: an Alternative Approach to Efficient Ensemble and
    Lifelong Learning", ICLR 2020, with the normalisation of Ioffe and Szegedy, ICML 2015. What
    belongs to an old task never changes, and neither do its outputs.

    ``strategy.model`` is a
    :class:`~cl_strategies.plugins.task_layers.normalisation.NormalisationModel` around a copy of
    ``model``.

    :param model: Linear, Conv2d and normalisation layers below a multi-head classifier.
    :param optimizer: with one group of parameters.
    :param insert: put a BatchNorm behind every Linear and Conv2d of a model without normalisation
        layers; otherwise such a model is refused.
    :param template: arguments of :class:`~cl_strategies.strategies.base.Strategy`.
    :raises UserError: for a model that cannot be divided into tasks, or an optimizer with several
        groups.
    """

    model: NormalisationModel

    def __init__(
        self, *, model: nn.Module, optimizer: Optimizer, insert: bool = True, **template: Any
    ) -> None:
        if isinstance(model, NormalisationModel):
            freeze_left_out(model, optimizer)
        else:
            model = NormalisationModel(copy_to_train(model, optimizer), insert=insert)
        super().__init__(model=model, optimizer=optimizer, **template)

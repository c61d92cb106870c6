"""VCL (Nguyen, Li, Bui, Turner, "Variational Continual Learning", ICLR 2018)."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from avalanche.models.utils import is_multi_task_module
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import Doc

from cl_strategies.plugins.bayesian.coreset_plugin import CoresetPlugin
from cl_strategies.plugins.bayesian.variational_model import (
    VariationalModel,
    VariationalMultiTaskModel,
)
from cl_strategies.plugins.bayesian.variational_plugin import VariationalPlugin
from cl_strategies.plugins.classes.seen_classes import rule_out_unseen
from cl_strategies.strategies.templates.base import Strategy
from cl_strategies.strategies.templates.frozen_parameters import freeze_left_out
from cl_strategies.strategies.templates.model_copy import own_copy
from cl_strategies.validation.hyperparameters import build_part


class VCL(Strategy):
    """Bayesian inference, experience by experience: the posterior of one is the prior of the next.

    Every weight of a Linear or Conv2d layer has a Gaussian distribution of its own. A copy of
    ``model`` is trained, with fresh moments of the optimizer in each experience; what it returns
    are logarithms of mean probabilities. Normalizations and other parameters are trained as
    numbers, and nothing holds them. The authors use Adam with a rate of 1e-3; leave weight decay
    out, which the prior replaces.

    :ivar pretrained: whether the means have been trained as an ordinary network.
    :raises UserError: for a model without such layers, or for an option out of its range.
    """

    parts = (VariationalModel, VariationalPlugin, CoresetPlugin)
    wraps_model = True
    model: VariationalModel

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        pretrain: Annotated[
            bool,
            Doc(
                "Begin the first experience with as many epochs of ordinary training of the means, "
                "besides its ``train_epochs``."
            ),
        ] = True,
        **options: Any,
    ) -> None:
        method = [build_part(part, options) for part in (VariationalPlugin, CoresetPlugin)]
        copied = own_copy(model, optimizer)
        freeze_left_out(copied, optimizer)
        kind = VariationalMultiTaskModel if is_multi_task_module(model) else VariationalModel
        self.pretrain, self.pretrained = pretrain, False
        self._draws: Tensor | None = None
        made = build_part(kind, options, copied)
        super().__init__(model=made, optimizer=optimizer, method=method, **options)

    # ------------------------------------------------------------------ an experience

    def model_adaptation(self, model: Any = None) -> Any:
        """As for any network; what is new in it gets Gaussian weights."""
        before = (self.model if model is None else model).layers
        adapted = super().model_adaptation(model)
        adapted.make_new_gaussian(before)
        return adapted

    def _before_training_exp(self, **kwargs: Any) -> None:
        self.optimizer.state.clear()
        super()._before_training_exp(**kwargs)

    def _before_training_epoch(self, **kwargs: Any) -> None:
        super()._before_training_epoch(**kwargs)
        if self.pretrain and not self.pretrained and not self._stop_training:
            self.pretrained = True
            with self.model.silent():
                for _ in range(self.train_epochs):
                    self.training_epoch(**kwargs)
            self.optimizer.state.clear()

    def forward(self) -> Any:
        """Return the logarithms of mean probabilities, over the classes that have come."""
        with self.model.watching(lambda out, tasks: rule_out_unseen(self, out, tasks)) as seen:
            output = super().forward()
        self._draws = seen[-1] if seen and self.is_training else None
        return output

    def task_loss(self) -> Tensor:
        """Return the mean over draws of the criterion in training: the first term of Eq. 4."""
        draws, self._draws = self._draws, None
        if draws is None:
            return super().task_loss()
        return torch.stack([self._criterion(draw, self.mb_y) for draw in draws]).mean()

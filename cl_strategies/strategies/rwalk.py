"""Riemannian walk."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import RWalkPlugin
from avalanche.training.utils import ParamData, copy_params_dict

from cl_strategies.errors import UserError
from cl_strategies.plugins.modes import evaluating
from cl_strategies.plugins.seen_classes import unseen_ruled_out
from cl_strategies.ranges import not_negative, positive
from cl_strategies.strategies.base import Strategy


class RWalk(Strategy):
    """RWalk (Chaudhry et al., ECCV 2018), the regulariser alone.

    In class-incremental streams the paper adds a small replay memory; compose it from
    :class:`~avalanche.training.plugins.ReplayPlugin`.

    :param ewc_lambda: strength of the penalty.
    :param ewc_alpha: weight of the newest Fisher estimate in the moving average, in [0, 1].
    :param delta_t: iterations between two updates of the scores.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        ewc_lambda: float = 0.1,
        ewc_alpha: float = 0.9,
        delta_t: int = 10,
        **template: Any,
    ) -> None:
        not_negative(ewc_lambda=ewc_lambda)
        positive(delta_t=delta_t)
        if not 0 <= ewc_alpha <= 1:
            raise UserError(f"ewc_alpha is {ewc_alpha}: give a number from 0 to 1")
        plugin = GrowableRWalkPlugin(ewc_lambda, ewc_alpha, delta_t)
        super().__init__(method=[plugin], **template)


class GrowableRWalkPlugin(RWalkPlugin):
    """Avalanche's RWalk with four repairs.

    * Its extra backward pass leaves the model in evaluation mode, so that the whole training
      runs without dropout and never updates batch statistics; here each module gets its own mode
      back.
    * It looks at the model before the model adapts, and fails on a new head.
    * It never protects parameters that came after the first experience.
    * It divides by the largest score, which is 0 when no score was taken (fewer than
      ``delta_t`` iterations) and negative when every score is.
    """

    iter_grad: dict[str, ParamData]
    iter_params: dict[str, ParamData]
    checkpoint_loss: dict[str, ParamData]
    checkpoint_params: dict[str, ParamData]
    checkpoint_scores: dict[str, ParamData]

    def before_training(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the model has not adapted yet."""

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        super().before_training(strategy)

    def _update_grad(self, strategy: Any) -> None:
        with unseen_ruled_out(strategy), evaluating(strategy.model):
            super()._update_grad(strategy)

    @torch.no_grad()
    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.exp_params = copy_params_dict(strategy.model)
        self.exp_scores = {
            name: self._merged_score(name, new) for name, new in self.checkpoint_scores.items()
        }
        self.exp_penalties = {
            name: ParamData(name, init_tensor=penalty, device=penalty.device)
            for name, penalty in self._penalties().items()
        }
        # Needed within an experience only.
        self.iter_grad, self.iter_params = {}, {}
        self.checkpoint_loss, self.checkpoint_params, self.checkpoint_scores = {}, {}, {}

    def _merged_score(self, name: str, new: ParamData) -> ParamData:
        if name not in (self.exp_scores or {}):
            return new
        merged = 0.5 * (self.exp_scores[name].expand(new.shape) + new.data)
        return ParamData(name, init_tensor=merged, device=merged.device)

    def _penalties(self) -> dict[str, torch.Tensor]:
        """Importance and score of each parameter, each scaled to [0, 1] over the model."""
        importances = {name: value.data for name, value in (self.iter_importance or {}).items()}
        scores = {name: self.exp_scores[name].data.relu() for name in importances}
        largest_importance = _largest(importances)
        largest_score = _largest(scores)
        return {
            name: importance / largest_importance + scores[name] / largest_score
            for name, importance in importances.items()
        }


def _largest(values: dict[str, torch.Tensor]) -> torch.Tensor | float:
    """The largest entry, or 1 if there is none above 0."""
    if not values:
        return 1.0
    top = torch.stack([value.max() for value in values.values()]).max()
    return torch.where(top > 0, top, torch.ones_like(top))

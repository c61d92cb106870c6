"""Riemannian walk."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from avalanche.models import avalanche_forward
from avalanche.training.plugins import RWalkPlugin as AvalancheRWalkPlugin
from avalanche.training.utils import ParamData, copy_params_dict, zerolike_params_dict
from typing_extensions import Doc

from cl_strategies.plugins.classes.seen_classes import unseen_ruled_out
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.loss_terms.loss_term import ParameterPenalty
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.regularization.options import Strength
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Alias


@hyperparameters
class RWalkPlugin(AvalancheRWalkPlugin):
    """Riemannian walk (Chaudhry et al., ECCV 2018), the regularizer alone: Avalanche's, repaired.

    * Its extra backward pass leaves the model in evaluation mode, so that the whole training
      runs without dropout and never updates batch statistics; here each module gets its own mode
      back.
    * It looks at the model before the model adapts, and fails on a new head.
    * It never protects parameters that came after the first experience.
    * It divides by the largest score, which is 0 when no score was taken (fewer than
      ``delta_t`` iterations) and negative when every score is.
    * It takes every mini-batch for a step of the optimizer, and discards gradients that
      accumulate. Here scores, importances and ``delta_t`` count steps, the gradient is the mean
      over the samples of all mini-batches of a step, and the penalty acts once.
    """

    iter_grad: dict[str, ParamData]
    iter_importance: dict[str, ParamData] | None
    iter_params: dict[str, ParamData]
    checkpoint_loss: dict[str, ParamData]
    checkpoint_params: dict[str, ParamData]
    checkpoint_scores: dict[str, ParamData]

    def __init__(
        self,
        *,
        strength: Annotated[Strength, Alias("ewc_lambda")] = 1.0,
        ewc_alpha: Annotated[
            float,
            Ge(0),
            Le(1),
            Doc("Weight of the newest Fisher estimate in the moving average."),
        ] = 0.9,
        delta_t: Annotated[
            int, Ge(1), Doc("Steps of the optimizer between two updates of the scores.")
        ] = 10,
    ) -> None:
        super().__init__(strength, ewc_alpha, delta_t)
        self.steps = 0
        self._seen = 0
        self._newest: tuple[int, dict[str, torch.Tensor | None]] = (0, {})
        self._penalty = ParameterPenalty()

    def before_training(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Nothing: the model has not adapted yet."""

    def before_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        super().before_training(strategy)
        self.iter_grad, self._seen = {}, 0
        self._penalty.begin()

    def before_training_iteration(
        self, strategy: TrainingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        """The gradient of the criterion on the mini-batch."""
        x, y, task_labels = strategy.mbatch[0], strategy.mbatch[1], strategy.mbatch[-1]
        trained = {n: p for n, p in strategy.model.named_parameters() if p.requires_grad}
        with evaluating(strategy.model), unseen_ruled_out(strategy):
            loss = strategy._criterion(avalanche_forward(strategy.model, x, task_labels), y)
            found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
        self._newest = len(x), dict(zip(trained, found, strict=True))

    def _average(self, model: Any) -> None:
        """Take the newest gradient into the mean over the mini-batches of a step."""
        (count, newest), self._newest = self._newest, (0, {})
        if not any(p.grad is not None and bool(p.grad.any()) for p in model.parameters()):
            self.iter_grad, self._seen = {}, 0  # the first mini-batch of a step
        self._seen += count
        for name, gradient in newest.items():
            if gradient is None:
                continue
            if name in self.iter_grad:
                gradient = torch.lerp(self.iter_grad[name].data, gradient, count / self._seen)
            elif self._seen > count:
                gradient = gradient * (count / self._seen)
            self.iter_grad[name] = ParamData(name, init_tensor=gradient, device=gradient.device)

    def before_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Add the penalty (Eq. 8)."""
        self._average(strategy.model)
        if not self.exp_penalties or self.exp_params is None:
            return
        terms = [
            (
                self.exp_penalties[name].expand(parameter.shape)
                * (parameter - self.exp_params[name].expand(parameter.shape)).square()
            ).sum()
            for name, parameter in strategy.model.named_parameters()
            if name in self.exp_penalties
        ]
        if terms:
            self._penalty.before_backward(strategy, self.ewc_lambda * torch.stack(terms).sum())

    def after_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._penalty.after_backward(strategy)

    @torch.no_grad()
    def before_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Update the importances by the gradient of the step."""
        self._update_importance(strategy)
        self.iter_params = copy_params_dict(strategy.model)

    def after_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Add the step to the fall of the loss, and take scores every ``delta_t`` steps."""
        self._update_loss(strategy)
        self.iter_grad, self._seen = {}, 0
        self.steps += 1
        if self.steps % self.delta_t == 0:
            self._update_score(strategy)
            self.checkpoint_loss = zerolike_params_dict(strategy.model)
            self.checkpoint_params = copy_params_dict(strategy.model)

    def after_training_iteration(
        self, strategy: TrainingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        """Nothing: what counts is the step."""

    def _update_importance(self, strategy: TrainingStrategy) -> None:
        """EWC++ (Eq. 6)."""
        old, self.iter_importance = self.iter_importance or {}, {}
        for name, gradient in self.iter_grad.items():
            square = gradient.data.square()
            if name in old:
                kept = (1 - self.ewc_alpha) * old[name].expand(square.shape)
                square = self.ewc_alpha * square + kept
            self.iter_importance[name] = ParamData(name, init_tensor=square, device=square.device)

    @torch.no_grad()
    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self.exp_params = copy_params_dict(strategy.model)
        self.exp_scores = {
            name: self._merged_score(name, new) for name, new in self.checkpoint_scores.items()
        }
        self.exp_penalties = {
            name: ParamData(name, init_tensor=penalty, device=penalty.device)
            for name, penalty in self._penalties().items()
        }
        # Needed within an experience only.
        self._penalty.begin()
        self.iter_grad, self.iter_params, self._seen = {}, {}, 0
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
    """Return the largest entry, or 1 if there is none above 0."""
    if not values:
        return 1.0
    top = torch.stack([value.max() for value in values.values()]).max()
    return torch.where(top > 0, top, torch.ones_like(top))

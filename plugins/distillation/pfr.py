"""Projected functional regularization (Gomez-Villa, Twardowski, Yu, Bagdanov, van de Weijer,
"Continually Learning Self-Supervised Representations with Projected Functional Regularization",
CVPR Workshops 2022)."""

from __future__ import annotations

import copy
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt
from avalanche.models import avalanche_forward
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Doc

from cl_strategies.models.batch_norm import BatchNorm1d
from cl_strategies.plugins.classes.experience import mini_batch_task_labels
from cl_strategies.plugins.features.named_layer import feature_layer, features_of
from cl_strategies.plugins.loss_terms.loss_scale import LossScale
from cl_strategies.plugins.loss_terms.loss_term import LossTermPlugin
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


def projected_distance(projected: Tensor, old: Tensor) -> Tensor:
    """Return ``mean(1 - cos(projected, old))``, in [0, 2]; no gradient reaches ``old``.

    :param projected: ``(N, d)``, features of today's network through the predictor.
    :param old: ``(N, d)``, features of the old network.
    :returns: a scalar.
    """
    return (1 - F.cosine_similarity(projected, old.detach(), dim=1)).mean()


def predictor(features: int) -> nn.Sequential:
    """Return a two-layer network from today's features to those of the old network.

    :param features: their number ``d``; the layer between has ``d / 2`` units, at least one.
    """
    hidden = max(features // 2, 1)
    return nn.Sequential(
        nn.Linear(features, hidden), BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, features)
    )


@hyperparameters
class PFRPlugin(LossTermPlugin):
    """Holds what the old network knew within reach of a small predictor.

    From the second experience on, the loss gains ``strength`` times :func:`projected_distance`
    between the predictor's output on today's features and the features of a copy of the network
    as it was before the experience. The features may thus change, as long as the old ones can be
    computed from them. The predictor is made anew for each experience and trained beside the
    network, by an Adam of its own; nothing of it is used in evaluation.

    :raises UserError: for an option out of its range.
    """

    first_by_position: ClassVar[str] = "strength"

    def __init__(
        self,
        *,
        strength: Annotated[float, Ge(0), Doc("Weight of the term in the loss.")] = 1.0,
        predictor_lr: Annotated[float, Gt(0), Doc("Learning rate of the predictor.")] = 1e-3,
        layer: Annotated[
            str,
            Doc('Module whose output is the features; ``""``: ``backbone`` or ``features``.'),
        ] = "",
    ) -> None:
        super().__init__()
        self.strength = strength
        self.predictor_lr = predictor_lr
        self.layer = layer
        self.old: nn.Module | None = None
        self._predictor: nn.Sequential | None = None
        self._optimizer: torch.optim.Optimizer | None = None
        self._features: Tensor | None = None
        self._hook: Any = None
        self._scale = LossScale()

    def before_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if the model has no such layer."""
        self._forget()
        self._scale.begin()
        layer = feature_layer(strategy.model, self.layer)
        if self.old is not None:
            self._hook = layer.register_forward_hook(self._note)

    _factor = 1.0

    def _note(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if torch.is_grad_enabled():  # not while evaluating; the layer itself may be in any mode
            self._features = output.flatten(1)

    def penalty(self, strategy: TrainingStrategy) -> Tensor:
        """Return the term of the current mini-batch, without its factor; zero in the first
        experience."""
        features, self._features = self._features, None
        if self.old is None or features is None:
            return torch.zeros((), device=strategy.device)
        tasks = mini_batch_task_labels(strategy)
        with torch.no_grad():
            old = features_of(
                self.old,
                self.layer,
                lambda model: avalanche_forward(model, strategy.mb_x, tasks),
            )
        if self._predictor is None:
            self._predictor = predictor(features.shape[1]).to(features)
            self._optimizer = torch.optim.Adam(self._predictor.parameters(), lr=self.predictor_lr)
        return projected_distance(self._predictor(features), old)

    def loss_term(self, strategy: TrainingStrategy) -> Tensor | None:
        if self.old is None or not self.strength:
            return None
        return self.strength * self.penalty(strategy)

    def before_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        super().before_backward(strategy, *args, **kwargs)
        if self.old is not None:
            self._scale.before_backward(strategy)

    def after_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if the scale of the gradients cannot be told."""
        if self.old is not None:
            self._factor = self._scale.after_backward(strategy)

    def after_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """A step of the predictor, unless a gradient scaler met an overflow."""
        if self._optimizer is None or self._predictor is None:
            return
        gradients = [p.grad for p in self._predictor.parameters() if p.grad is not None]
        if self._factor != 1:
            torch._foreach_div_(gradients, self._factor)
        if self._factor == 1 or all(bool(g.isfinite().all()) for g in gradients):
            self._optimizer.step()
        self._optimizer.zero_grad()

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._forget()
        self.old = copy.deepcopy(strategy.model).eval().requires_grad_(False)

    def _forget(self) -> None:
        """What serves one experience only."""
        if self._hook is not None:
            self._hook.remove()
        self._predictor = self._optimizer = self._features = self._hook = None

"""LifeQuant's penalty on the inter-task quantization error (Sec. 5.2.3, Theorem 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.classes.seen_classes import unseen_ruled_out
from cl_strategies.plugins.loss_terms.loss_term import ParameterPenalty
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.quantization.balanced_loss import BalancedLossPlugin
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.weight_importance import WeightImportance
from cl_strategies.plugins.regularization.options import Retained, Strength
from cl_strategies.validation.hyperparameters import build_part, hyperparameters
from cl_strategies.validation.parameter import Alias


@hyperparameters
class InterTaskQuantizationPenaltyPlugin(SupervisedPlugin):
    """Hold the quantized weights where the tasks so far left them, each by its importance.

    The penalty is ``strength * sum F * (w_t - w_s)**2``. ``w`` are the weights that the network
    computes with: quantized ones in the standard space (the gradient passes through the quantizer),
    and the parameters that are not quantized. A latent weight may move as long as no quantized one
    does. ``F`` are mean squared gradients of the loss with respect to those weights, taken at the
    end of each experience on the data that it was trained on, replayed samples included; never on
    test data. It is the diagonal of the square of the inter-task term of Theorem 5.1's proof, with
    the gradient at the old weights, as in the authors' code.

    A ``decay_factor`` of 0 forgets the importances so far, for streams where replayed data bring
    the old tasks back.

    :param balanced: the loss to take gradients of; ``None``: the strategy's criterion.
    :raises UserError: for an option out of its range.
    """

    first_by_position: ClassVar[str] = "strength"

    parts: ClassVar[Any] = (WeightImportance,)

    def __init__(
        self,
        *,
        strength: Strength = 10.0,
        decay_factor: Annotated[Retained, Alias("retain")] = 1.0,
        balanced: BalancedLossPlugin | None = None,
        **options: Any,
    ) -> None:
        self.estimator: WeightImportance = build_part(WeightImportance, options)
        super().__init__(**options)
        self.strength = strength
        self.decay_factor = decay_factor
        self.balanced = balanced
        self.experiences = 0
        self.reference: dict[str, Tensor] = {}
        self.importance: dict[str, Tensor] = {}
        self._entering = ParameterPenalty()

    def before_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if the model is not quantized."""
        if not quantized_layers(strategy.model):
            raise UserError(
                "no layer of the model is quantized: quantize it first, with QuantizationPlugin "
                "or quantize_model"
            )
        self._entering.begin()

    def penalty(self, strategy: TrainingStrategy) -> Tensor:
        """Return the penalty at the current weights, differentiable; 0 before the second task."""
        total = torch.zeros((), device=strategy.device)
        if not self.experiences or not self.strength:
            return total
        for name, weight in self.estimator.weights(strategy.model).items():
            if name in self.reference:
                # a classifier that grew: what it had stands in its upper left corner
                old = tuple(slice(length) for length in self.reference[name].shape)
                change = weight[old] - self.reference[name]
                total = total + (self.importance[name] * change.square()).sum()
        return self.strength * total

    def before_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        if self.experiences and self.strength:
            self._entering.before_backward(strategy, self.penalty(strategy))

    def after_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._entering.after_backward(strategy)

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._entering.begin()
        with unseen_ruled_out(strategy):
            found = self.estimator.estimate(
                strategy.model,
                strategy.adapted_dataset,
                strategy._criterion if self.balanced is None else self.balanced.loss,
            )
        for name, importance in found.items():
            old = self.importance.get(name)
            if old is not None and self.decay_factor:
                importance[tuple(slice(length) for length in old.shape)] += self.decay_factor * old
        self.importance = found
        with torch.no_grad():
            weights = self.estimator.weights(strategy.model)
            self.reference = {name: weights[name].detach().clone() for name in found}
        self.experiences += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the number of experiences, the weights after the last one, and the importances."""
        return {
            "form": self.estimator.form,
            "experiences": self.experiences,
            "reference": {name: tensor.clone() for name, tensor in self.reference.items()},
            "importance": {name: tensor.clone() for name, tensor in self.importance.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """:raises UserError: if the state is of the other form."""
        if state["form"] != self.estimator.form:
            raise UserError(
                f"the state is of the form {state['form']!r} and this plugin of "
                f"{self.estimator.form!r}: load it into the form that saved it"
            )
        self.experiences = int(state["experiences"])
        self.reference = {name: tensor.clone() for name, tensor in state["reference"].items()}
        self.importance = {name: tensor.clone() for name, tensor in state["importance"].items()}

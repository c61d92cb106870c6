"""LifeQuant's penalty on the inter-task quantisation error (Sec. 5.2.3, Theorem 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.plugins.quantization.balanced_plugin import BalancedLossPlugin
from cl_strategies.plugins.quantization.importance import computed_weights, squared_gradients
from cl_strategies.plugins.quantization.layers import quantized_layers
from cl_strategies.plugins.quantization.quantizer import Quantizer
from cl_strategies.plugins.regularization.loss_term import ParameterPenalty
from cl_strategies.plugins.seen_classes import unseen_ruled_out

PENALTIES = ("standard", "released")


class InterTaskQuantizationPenaltyPlugin(SupervisedPlugin):
    """Holds the quantised weights where the tasks so far left them, each by its importance.

    The penalty is ``strength * sum F * (w_t - w_s)**2``. ``w`` are the weights that the network
    computes with: quantised ones in the standard space (the gradient passes through the quantiser),
    and the parameters that are not quantised. A latent weight may move as long as no quantised one
    does. ``F`` are mean squared gradients of the loss with respect to those weights, taken at the
    end of each experience on the data that it was trained on, replayed samples included; never on
    test data. It is the diagonal of the square of the inter-task term of Theorem 5.1's proof, with
    the gradient at the old weights, as in the authors' code.

    :param strength: factor of the penalty.
    :param form: ``"standard"`` as above; ``"released"``: latent parameters in place of the weights
        that are computed with, as the authors' code has it.
    :param samples: training samples per experience to take importances from.
    :param batch_size: samples per gradient; above 1 gradients are averaged before they are
        squared, as in the authors' code.
    :param retain: factor of the importances so far when new ones are added; 0 forgets them, for
        streams where replayed data bring the old tasks back.
    :param balanced: the loss to take gradients of; ``None``: the strategy's criterion.
    :raises UserError: for another form, or numbers out of range.
    """

    def __init__(
        self,
        strength: float = 10.0,
        *,
        form: str = "standard",
        samples: int = 256,
        batch_size: int = 1,
        retain: float = 1.0,
        balanced: BalancedLossPlugin | None = None,
    ) -> None:
        super().__init__()
        if form not in PENALTIES:
            raise unknown_name("form of the inter-task penalty", form, PENALTIES)
        if strength < 0 or retain < 0 or samples < 1 or batch_size < 1:
            raise UserError(
                f"strength {strength}, retain {retain}, samples {samples}, batch_size "
                f"{batch_size}: give strength and retain from 0 up, the others from 1 up"
            )
        self.strength = strength
        self.form = form
        self.samples = samples
        self.batch_size = batch_size
        self.retain = retain
        self.balanced = balanced
        self.experiences = 0
        self.reference: dict[str, Tensor] = {}
        self.importance: dict[str, Tensor] = {}
        self._entering = ParameterPenalty()

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if the model is not quantised."""
        if not quantized_layers(strategy.model):
            raise UserError(
                "no layer of the model is quantised: quantise it first, with QuantizationPlugin "
                "or quantize_model"
            )
        self._entering.begin()

    def penalty(self, strategy: Any) -> Tensor:
        """The penalty at the current weights, differentiable; zero before the second task."""
        total = torch.zeros((), device=strategy.device)
        if not self.experiences or not self.strength:
            return total
        for name, weight in self._weights(strategy.model).items():
            if name in self.reference:
                # a classifier that grew: what it had stands in its upper left corner
                old = tuple(slice(length) for length in self.reference[name].shape)
                change = weight[old] - self.reference[name]
                total = total + (self.importance[name] * change.square()).sum()
        return self.strength * total

    def _weights(self, model: Any) -> dict[str, Tensor]:
        if self.form == "standard":
            return computed_weights(model)
        steps = {id(p) for m in model.modules() if isinstance(m, Quantizer) for p in m.parameters()}
        return {name: p for name, p in model.named_parameters() if id(p) not in steps}

    def before_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        if self.experiences and self.strength:
            self._entering.before_backward(strategy, self.penalty(strategy))

    def after_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self._entering.after_backward(strategy)

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self._entering.begin()
        with unseen_ruled_out(strategy):
            found = squared_gradients(
                strategy.model,
                strategy.adapted_dataset,
                strategy._criterion if self.balanced is None else self.balanced.loss,
                samples=self.samples,
                batch_size=self.batch_size,
                latent=self.form == "released",
            )
        for name, importance in found.items():
            old = self.importance.get(name)
            if old is not None and self.retain:
                importance[tuple(slice(length) for length in old.shape)] += self.retain * old
        self.importance = found
        with torch.no_grad():
            weights = self._weights(strategy.model)
            self.reference = {name: weights[name].detach().clone() for name in found}
        self.experiences += 1

    def state_dict(self) -> dict[str, Any]:
        """The number of experiences, the weights after the last one, and the importances."""
        return {
            "form": self.form,
            "experiences": self.experiences,
            "reference": {name: tensor.clone() for name, tensor in self.reference.items()},
            "importance": {name: tensor.clone() for name, tensor in self.importance.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """:raises UserError: if the state is of the other form."""
        if state["form"] != self.form:
            raise UserError(
                f"the state is of the form {state['form']!r} and this plugin of {self.form!r}: "
                "load it into the form that saved it"
            )
        self.experiences = int(state["experiences"])
        self.reference = {name: tensor.clone() for name, tensor in state["reference"].items()}
        self.importance = {name: tensor.clone() for name, tensor in state["importance"].items()}

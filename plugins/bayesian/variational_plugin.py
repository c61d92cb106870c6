"""The divergence from the prior, in the training of a network with Gaussian weights."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Gt
from avalanche.models import MultiTaskModule
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.bayesian.gaussian_layers import GaussianLayer
from cl_strategies.plugins.bayesian.gaussian_prior import GaussianPrior
from cl_strategies.plugins.classes.experience import task_labels_of
from cl_strategies.plugins.classes.seen_classes import SeenClassesPlugin
from cl_strategies.plugins.loss_terms.loss_term import ParameterPenalty
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class VariationalPlugin(SupervisedPlugin):
    """Add KL(q_t || q_{t-1}) / N_t to the loss of experience t, of N_t samples.

    The model is a :class:`~cl_strategies.plugins.bayesian.variational_model.VariationalModel`.
    The posterior of the last experience is the model as it is when the experience begins, so that
    nothing is kept between experiences. Layers that the mini-batch did not pass, such as heads of
    other tasks, and outputs of classes that have not come have no part in it.
    """

    transient_attributes = ("_priors", "_size", "_penalty")

    def __init__(
        self,
        *,
        prior_variance: Annotated[
            float, Gt(0), Doc("Variance of the prior of weights that have learned nothing yet.")
        ] = 1.0,
    ) -> None:
        super().__init__()
        self.prior_variance = prior_variance
        self._penalty = ParameterPenalty()
        self._priors: dict[nn.Module, GaussianPrior] = {}
        self._size = 1

    def before_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Forget the priors of the last experience."""
        self._penalty.begin()
        self._priors = {}
        self._size = len(strategy.adapted_dataset)

    def before_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Add the divergence to ``strategy.loss``, unless the network computes with its means."""
        noise: Any = strategy.model.noise
        if noise.silent:
            return
        layers = list(noise.called)
        for layer in layers:
            if layer not in self._priors:
                self._priors[layer] = self._prior(strategy, layer, last=layer is layers[-1])
        terms = [self._priors[layer].divergence(layer) for layer in layers]
        if terms:
            value = torch.stack(terms).sum() / self._size
            self._penalty.before_backward(strategy, value)

    def after_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Add its gradient, once per step of the optimizer."""
        self._penalty.after_backward(strategy)

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._penalty.begin()
        self._priors = {}

    def _prior(
        self, strategy: TrainingStrategy, layer: GaussianLayer, *, last: bool
    ) -> GaussianPrior:
        """Make the prior of a layer; from now on its own distribution is that of the next."""
        rows = _rows_to_learn(strategy, layer) if last else None
        prior = GaussianPrior(layer, self.prior_variance, rows)
        layer.learned |= True if rows is None else rows
        return prior


def _rows_to_learn(strategy: TrainingStrategy, layer: GaussianLayer) -> Tensor | None:
    """Return which outputs of a classifier are of classes that have come; ``None`` for all."""
    seen = next((p for p in strategy.plugins if isinstance(p, SeenClassesPlugin)), None)
    width = strategy.mb_output.shape[1]
    if seen is None or seen.unseen_classes == "train" or len(layer.learned) != width:
        return None
    if isinstance(strategy.model, MultiTaskModule):
        classes = [c for task in task_labels_of(strategy.experience) for c in seen.seen(task)]
    else:
        classes = seen.seen()
    rows = torch.zeros_like(layer.learned)
    rows[[label for label in classes if label < width]] = True
    return rows

"""DANN (Ganin, Ustinova, Ajakan, Germain, Larochelle, Laviolette, Marchand, Lempitsky,
"Domain-Adversarial Training of Neural Networks", JMLR 2016)."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.adaptation.domain_classifier import (
    BesideOptimizer,
    domain_loss,
    domain_network,
)
from cl_strategies.plugins.adaptation.functional import reverse_gradient
from cl_strategies.plugins.adaptation.plugin import AdaptationPlugin
from cl_strategies.plugins.loss_terms.loss_scale import LossScale
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class DANNPlugin(AdaptationPlugin):
    """Train features from which a classifier cannot tell the domain.

    A small network learns to tell source from target by the features, and the features learn the
    opposite: its gradient reaches them reversed, times the growing weight of the adaptation. It is
    made anew for each experience and takes its steps with those of the strategy's optimizer.

    :raises UserError: for an option out of its range, or a target without images.
    """

    def __init__(
        self,
        *,
        hidden: Annotated[int, Ge(1), Doc("Hidden units of the domain classifier.")] = 100,
        **options: Any,
    ) -> None:
        self.hidden = hidden
        self._scale = LossScale()
        self._factor = 1.0
        super().__init__(**options)

    def _forget(self) -> None:
        super()._forget()
        self.network: nn.Sequential | None = None
        self._optimizer: BesideOptimizer | None = None
        self._scale.begin()

    def discrepancy(
        self, strategy: TrainingStrategy, source: Tensor, target: Tensor, logits: Any
    ) -> Tensor:
        if self.network is None:
            self.network = domain_network(source.shape[1], self.hidden).to(source)
            self._optimizer = BesideOptimizer(self.network, strategy.optimizer)
        told = [self.network(reverse_gradient(part, self.weight)) for part in (source, target)]
        return domain_loss(*told)

    def before_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        super().before_backward(strategy, *args, **kwargs)
        self._scale.before_backward(strategy)

    def after_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if the scale of the gradients cannot be told."""
        self._factor = self._scale.after_backward(strategy)

    def after_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        if self._optimizer is not None:  # before the optimizer gets its learning rates back
            self._optimizer.step(strategy.optimizer, self._factor)
        super().after_update(strategy, *args, **kwargs)

"""Networks merged by Fisher information: mode-IMM."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from annotated_types import Gt
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.loss_terms.added_gradient import PassCounter
from cl_strategies.plugins.merging.plugin import IMMMeanPlugin
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.regularization.ewc import Fisher, FisherEstimation, FisherSamples
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class IMMModePlugin(FisherEstimation, IMMMeanPlugin):
    """Evaluate the mean of the networks, weighted by Fisher information (mode-IMM).

    At the end of each experience the Fisher information of every parameter is estimated on its
    data. Otherwise as :class:`~cl_strategies.plugins.merging.plugin.IMMMeanPlugin`; running
    statistics, which have no Fisher information, are merged as there.
    """

    weighs: ClassVar[bool] = True

    def __init__(
        self,
        *,
        fisher: Fisher = "sampled",
        fisher_samples: FisherSamples = None,
        eps: Annotated[float, Gt(0), Doc("Added to each importance.")] = 1e-8,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.fisher = fisher
        self.fisher_samples = fisher_samples
        self.eps = eps
        self._passes = PassCounter()

    def before_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._passes.begin()

    def after_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._passes.after_backward()

    def after_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._passes.after_update()

    def precisions(self, strategy: TrainingStrategy) -> dict[str, Tensor]:
        return {name: fisher + self.eps for name, fisher in self.estimate(strategy).items()}

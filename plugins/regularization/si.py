"""Synaptic Intelligence (Zenke, Poole, Ganguli, ICML 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from torch import Tensor

from cl_strategies.plugins.regularization.functional import si_importance
from cl_strategies.plugins.regularization.options import Damping, Strength
from cl_strategies.plugins.regularization.plugin import SurrogatePlugin
from cl_strategies.plugins.regularization.surrogate import QuadraticSurrogate
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Alias


@hyperparameters
class SISurrogate(QuadraticSurrogate):
    """Importances add up over the tasks.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        strength: Annotated[Strength, Alias("c")] = 1.0,
        xi: Damping = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(strength=strength, **options)
        self.xi = xi

    def consolidate(self, state: Mapping[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        importance = si_importance(
            state["path"], theta, state["center"], state["importance"], xi=self.xi
        )
        return {"importance": importance}


class SIPlugin(SurrogatePlugin):
    """Synaptic Intelligence: a quadratic penalty, weighted by how much each parameter's path
    lowered the losses of the past tasks.

    Works on every device; Avalanche's ``SynapticIntelligencePlugin`` has no effect on a CPU. The
    authors use ``xi = 0.1`` (MNIST) and ``1e-3`` (CIFAR).
    """

    surrogate_class = SISurrogate

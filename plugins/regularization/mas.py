"""Memory aware synapses (Aljundi et al., ECCV 2018)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.regularization.estimated import DecayingSurrogate, EstimatedPlugin
from cl_strategies.plugins.regularization.options import Exclude, Strength
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Alias


@hyperparameters
def mas_surrogate(
    *,
    strength: Annotated[Strength, Alias("lambda_reg")] = 1.0,
    alpha: Annotated[
        float,
        Ge(0),
        Le(1),
        Doc("Share of the old importances when those of a task are mixed in."),
    ] = 0.5,
    exclude: Exclude = (),
) -> DecayingSurrogate:
    """Return the penalty of MAS.

    :raises UserError: for an option out of its range.
    """
    return DecayingSurrogate(strength=strength, old=alpha, new=1 - alpha, exclude=exclude)


class MASPlugin(EstimatedPlugin):
    """Memory aware synapses: importances are the absolute gradients of the squared norm of the
    output, which needs no labels.
    """

    surrogate_class = staticmethod(mas_surrogate)

    def objective(self, strategy: TrainingStrategy, output: Tensor, labels: Tensor) -> Tensor:
        return output.square().sum(dim=1).mean()

    def contribution(self, gradient: Tensor) -> Tensor:
        return gradient.abs()

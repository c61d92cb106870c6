"""Sliced Cramer preservation (Kolouri et al., ICLR 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.regularization.estimated import DecayingSurrogate, EstimatedPlugin
from cl_strategies.plugins.regularization.options import Exclude, Retained, Strength
from cl_strategies.plugins.regularization.sliced_preservation import sliced_importance, sphere
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Alias


@hyperparameters
def scp_surrogate(
    *,
    strength: Strength = 30.0,
    decay_factor: Annotated[Retained, Alias("retain")] = 1.0,
    exclude: Exclude = (),
) -> DecayingSurrogate:
    """Return the penalty of SCP.

    :raises UserError: for an option out of its range.
    """
    return DecayingSurrogate(strength=strength, old=decay_factor, new=1.0, exclude=exclude)


class SCPPlugin(EstimatedPlugin):
    """A quadratic penalty on parameters that the distribution of the outputs depends on.

    Outputs of a batch are averaged and projected on random directions; the importance of a
    parameter is the mean square of the projections' derivatives
    (:func:`sliced_importance`), averaged over the
    batches of the finished experience. No labels are needed.
    """

    surrogate_class = staticmethod(scp_surrogate)

    def __init__(
        self,
        *,
        slices: Annotated[
            int,
            Ge(0),
            Doc("Random directions per batch that outputs are projected on; 0: their expectation."),
        ] = 50,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.slices = slices

    def add_contributions(
        self,
        strategy: TrainingStrategy,
        batches: Sequence[Sequence[Any]],
        parameters: Mapping[str, nn.Parameter],
        estimate: Mapping[str, Tensor],
        share: int,
    ) -> None:
        output = torch.cat([self.outputs(strategy, batch)[0] for batch in batches])
        response = output.mean(0)
        directions = sphere(self.slices, len(response), response) if self.slices else None
        found = sliced_importance(response, list(parameters.values()), directions)
        for total, importance in zip(estimate.values(), found, strict=True):
            total += importance / share

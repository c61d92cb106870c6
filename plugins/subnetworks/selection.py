"""How scores become a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Gt, Le
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.subnetworks.functional import top_mask, winning_weight
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Equation


@hyperparameters
@dataclass(frozen=True, kw_only=True)
class Selection:
    """The top scores of a layer.

    :raises UserError: for a capacity out of range, or another ranking.
    """

    capacity: Annotated[
        float,
        Gt(0),
        Le(1),
        Doc("Fraction of the weights of each layer that a task uses, c in the paper."),
        Equation("section 3.1"),
    ] = 0.5
    ranking: Annotated[
        Literal["magnitude", "value"],
        Doc(
            'How scores are compared: ``"magnitude"``, by their absolute values as in the '
            'authors\' code, or ``"value"``, as they are.'
        ),
        Equation("section 3.1"),
    ] = "magnitude"

    def mask(self, scores: Tensor) -> Tensor:
        """Return which weights are selected, bool, of the shape of ``scores``."""
        return top_mask(self._key(scores), self.capacity)

    def weight(self, weight: Tensor, scores: Tensor) -> Tensor:
        """Return the weights of the subnetwork, with gradients for weights and scores."""
        return winning_weight(weight, self._key(scores), self.capacity)

    def _key(self, scores: Tensor) -> Tensor:
        return scores.abs() if self.ranking == "magnitude" else scores

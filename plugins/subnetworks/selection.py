"""How scores become a mask."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.plugins.subnetworks.functional import top_mask, winning_weight

RANKINGS = ("magnitude", "value")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The top scores of a layer.

    :param capacity: fraction of the weights that a task uses.
    :param ranking: ``"magnitude"``: scores are compared by their absolute values, as in the
        authors' code; ``"value"``: as they are (section 3.1 as printed).
    :raises UserError: for a capacity out of range, or another ranking.
    """

    capacity: float
    ranking: str

    def __post_init__(self) -> None:
        if not 0 < self.capacity <= 1:
            raise UserError(f"capacity is {self.capacity}: give a number above 0 and up to 1")
        if self.ranking not in RANKINGS:
            raise unknown_name("ranking", self.ranking, RANKINGS)

    def mask(self, scores: Tensor) -> Tensor:
        """Which weights are selected, bool, of the shape of ``scores``."""
        return top_mask(self._key(scores), self.capacity)

    def weight(self, weight: Tensor, scores: Tensor) -> Tensor:
        """The weights of the subnetwork, with gradients for weights and scores."""
        return winning_weight(weight, self._key(scores), self.capacity)

    def _key(self, scores: Tensor) -> Tensor:
        return scores.abs() if self.ranking == "magnitude" else scores

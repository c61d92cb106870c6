"""Sliced Cramer preservation (Kolouri et al., ICLR 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.plugins.regularization.estimated import DecayingSurrogate, EstimatedPlugin
from cl_strategies.plugins.regularization.functional import check_not_negative
from cl_strategies.plugins.regularization.sliced import sliced_importance, sphere
from cl_strategies.ranges import fraction, whole


class SCPPlugin(EstimatedPlugin):
    """A quadratic penalty on parameters that the distribution of the outputs depends on.

    Outputs of a batch are averaged and projected on random directions; the importance of a
    parameter is the mean square of the projections' derivatives
    (:func:`~cl_strategies.plugins.regularization.sliced.sliced_importance`), averaged over the
    batches of the finished experience. No labels are needed.

    :param strength: the penalty is ``strength * sum(importance * (theta - center)**2)``.
    :param slices: random directions per batch; 0: their expectation, without sampling.
    :param retain: factor of the importances so far when new ones are added, in [0, 1].
    :param exclude: patterns of names of parameters to leave alone.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        strength: float = 1.0,
        *,
        slices: int = 50,
        retain: float = 1.0,
        exclude: Sequence[str] = (),
    ) -> None:
        check_not_negative(strength=strength)
        whole(0, slices=slices)
        fraction(retain=retain)
        super().__init__(DecayingSurrogate(c=strength, old=retain, new=1.0, exclude=exclude))
        self.slices = slices

    def add_contributions(
        self,
        strategy: Any,
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

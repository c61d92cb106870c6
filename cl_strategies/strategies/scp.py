"""Sliced Cramer preservation (Kolouri et al., ICLR 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl_strategies.plugins.regularization.scp import SCPPlugin
from cl_strategies.strategies.base import Strategy


class SCP(Strategy):
    """Fine-tuning with a penalty on parameters that the distribution of the outputs depends on.

    :param strength: strength of the penalty; there is no factor 1/2.
    :param slices: random directions that outputs are projected on; 0: their expectation.
    :param retain: factor of the importances so far when new ones are added, in [0, 1].
    :param exclude: patterns of names of parameters to leave alone.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        strength: float = 1.0,
        slices: int = 50,
        retain: float = 1.0,
        exclude: Sequence[str] = (),
        **template: Any,
    ) -> None:
        self.regularizer = SCPPlugin(strength, slices=slices, retain=retain, exclude=exclude)
        super().__init__(method=[self.regularizer], **template)

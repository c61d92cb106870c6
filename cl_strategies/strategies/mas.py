"""Memory aware synapses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl_strategies.plugins.regularization.estimated import MASPlugin
from cl_strategies.strategies.base import Strategy


class MAS(Strategy):
    """MAS (Aljundi et al., ECCV 2018).

    :param lambda_reg: strength of the penalty; there is no factor 1/2.
    :param alpha: share of the old importances when new ones are mixed in, in [0, 1].
    :param exclude: patterns of names of parameters to leave alone.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        lambda_reg: float = 1.0,
        alpha: float = 0.5,
        exclude: Sequence[str] = (),
        **template: Any,
    ) -> None:
        self.regularizer = MASPlugin(lambda_reg, alpha, exclude=exclude)
        super().__init__(method=[self.regularizer], **template)

"""L2: fine-tuning that stays near the parameters of the last task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl_strategies.plugins.regularization.l2 import L2Plugin
from cl_strategies.strategies.base import Strategy


class L2(Strategy):
    """Fine-tuning with the penalty ``c * ||theta - theta_of_the_last_task||**2``.

    :param c: strength of the penalty; there is no factor 1/2.
    :param exclude: patterns of names of parameters to leave alone.
    :param template: arguments of Avalanche's ``SupervisedTemplate``.
    :raises UserError: if ``c`` is negative.
    """

    def __init__(
        self,
        *,
        c: float = 1.0,
        exclude: Sequence[str] = (),
        **template: Any,
    ) -> None:
        self.regularizer = L2Plugin(c, exclude=exclude)
        super().__init__(method=[self.regularizer], **template)

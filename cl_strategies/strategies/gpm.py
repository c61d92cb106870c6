"""GPM (Saha, Garg, Roy, "Gradient Projection Memory for Continual Learning", ICLR 2021)."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.projection.plugin import GPMPlugin
from cl_strategies.strategies.base import Strategy


class GPM(Strategy):
    """Steps orthogonal to the inputs that layers had in earlier tasks.

    Linear and Conv2d layers are shared by all tasks; their biases and the normalisations are
    trained by the first task alone. With a multi-head model every task needs a label of its own.

    :param threshold: part of the squared norm of a layer's inputs that is protected after the
        first task.
    :param increment: what each later task adds to ``threshold``.
    :param samples: training samples per task to take inputs from.
    :param template: arguments of :class:`~cl_strategies.strategies.base.Strategy`.
    :raises UserError: for an option out of range.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.97,
        increment: float = 0.003,
        samples: int = 125,
        **template: Any,
    ) -> None:
        self.memory = GPMPlugin(threshold, increment=increment, samples=samples)
        super().__init__(method=[self.memory], **template)

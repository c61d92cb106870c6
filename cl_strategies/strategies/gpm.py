"""GPM (Saha, Garg, Roy, "Gradient Projection Memory for Continual Learning", ICLR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl_strategies.plugins.projection.plugin import GPMPlugin
from cl_strategies.strategies.base import Strategy


class GPM(Strategy):
    """Steps orthogonal to the inputs that layers had in earlier tasks.

    Linear and Conv2d layers are shared by all tasks; their biases and the normalisations are
    trained by the first task alone. With a multi-head model every task needs a label of its own.

    :param threshold: part of the squared norm of a layer's inputs that is protected after the
        first task; one number, or one for each projected layer in the order of definition.
    :param increment: what each later task adds to ``threshold``, likewise.
    :param samples: training samples per task to take inputs from.
    :param template: arguments of :class:`~cl_strategies.strategies.base.Strategy`.
    :raises UserError: for an option out of range, or another number of thresholds than of layers.
    """

    def __init__(
        self,
        *,
        threshold: float | Sequence[float] = 0.97,
        increment: float | Sequence[float] = 0.003,
        samples: int = 125,
        **template: Any,
    ) -> None:
        self.memory = GPMPlugin(threshold, increment=increment, samples=samples)
        super().__init__(method=[self.memory], **template)
        self.memory.check_layers(self.model)

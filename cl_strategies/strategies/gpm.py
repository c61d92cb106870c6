"""GPM (Saha, Garg, Roy, "Gradient Projection Memory for Continual Learning", ICLR 2021)."""

from __future__ import annotations

from typing import Any

from avalanche.models import MultiTaskModule

from cl_strategies.plugins.projection.plugin import GPMPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy

_WHOLE = "with a head per task learns a task in one experience"


class GPM(PluginStrategy):
    """Fine-tuning with steps orthogonal to the inputs that layers had in earlier tasks.

    Linear and Conv2d layers are shared by all tasks; their biases and the normalizations are
    trained by the first task alone. With a multi-head model every task needs a label of its own.

    :raises UserError: for an option out of its range, or another number of thresholds than of
        layers.
    """

    plugin_class = GPMPlugin

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.plugin.check_layers(self.model)  # before any training
        if isinstance(self.model, MultiTaskModule):
            self.needs_whole_experiences = _WHOLE  # type: ignore[misc]

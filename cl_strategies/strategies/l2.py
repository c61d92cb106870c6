"""L2: fine-tuning that stays near the parameters of the last task."""

from __future__ import annotations

from cl_strategies.plugins.regularization.l2 import L2Plugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class L2(PluginStrategy):
    """Fine-tuning with the penalty ``strength * ||theta - theta_of_the_last_task||**2``."""

    plugin_class = L2Plugin

"""Learning without forgetting (Li and Hoiem, ECCV 2016)."""

from __future__ import annotations

from cl_strategies.plugins.distillation.lwf import LwFPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class LwF(PluginStrategy):
    """Fine-tuning with distillation from the network as it was before the experience."""

    plugin_class = LwFPlugin

"""Memory aware synapses (Aljundi et al., ECCV 2018)."""

from __future__ import annotations

from cl_strategies.plugins.regularization.mas import MASPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class MAS(PluginStrategy):
    """Fine-tuning with a penalty that the sensitivity of the output weights."""

    plugin_class = MASPlugin

"""Synaptic Intelligence (Zenke, Poole, Ganguli, ICML 2017)."""

from __future__ import annotations

from cl_strategies.plugins.regularization.si import SIPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class SI(PluginStrategy):
    """Fine-tuning with a penalty on parameters whose path lowered past losses."""

    plugin_class = SIPlugin

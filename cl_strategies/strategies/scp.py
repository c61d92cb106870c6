"""Sliced Cramer preservation (Kolouri et al., ICLR 2020)."""

from __future__ import annotations

from cl_strategies.plugins.regularization.scp import SCPPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class SCP(PluginStrategy):
    """Fine-tuning with a penalty on parameters that the distribution of the outputs depends on."""

    plugin_class = SCPPlugin

"""Elastic weight consolidation (Kirkpatrick et al., PNAS 2017)."""

from __future__ import annotations

from cl_strategies.plugins.regularization.ewc import EWCPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class EWC(PluginStrategy):
    """Fine-tuning with a penalty that the Fisher information weights."""

    plugin_class = EWCPlugin

"""Projected functional regularization (Gomez-Villa et al., CVPR Workshops 2022)."""

from __future__ import annotations

from cl_strategies.plugins.distillation.pfr import PFRPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class PFR(PluginStrategy):
    """Fine-tuning in which a small predictor must still find the features of the old network."""

    plugin_class = PFRPlugin

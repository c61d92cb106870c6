"""ALASSO (Park, Hong, Han, Lee, "Continual Learning by Asymmetric Loss Approximation with
Single-Side Overestimation", ICCV 2019)."""

from __future__ import annotations

from cl_strategies.plugins.regularization.alasso import ALASSOPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class ALASSO(PluginStrategy):
    """Fine-tuning with a penalty that is steeper where no past task has been."""

    plugin_class = ALASSOPlugin

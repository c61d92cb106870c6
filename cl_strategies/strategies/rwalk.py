"""Riemannian walk (Chaudhry et al., ECCV 2018)."""

from __future__ import annotations

from cl_strategies.plugins.regularization.rwalk import RWalkPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class RWalk(PluginStrategy):
    """Fine-tuning with the regularizer of RWalk alone.

    In class-incremental streams the paper adds a small replay memory; compose it from
    :class:`~avalanche.training.plugins.ReplayPlugin`.
    """

    plugin_class = RWalkPlugin

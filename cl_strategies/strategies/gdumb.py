"""GDumb: greedy sampler and dumb learner (Prabhu et al., ECCV 2020)."""

from __future__ import annotations

from cl_strategies.plugins.rehearsal.gdumb import GDumbPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class GDumb(PluginStrategy):
    """Train from scratch on a class-balanced memory at each experience."""

    plugin_class = GDumbPlugin

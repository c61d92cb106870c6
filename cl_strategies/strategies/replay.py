"""Experience replay (Chaudhry et al., On tiny episodic memories in continual learning, 2019)."""

from __future__ import annotations

from cl_strategies.plugins.rehearsal.replay import ReplayPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class Replay(PluginStrategy):
    """Fine-tuning in which samples from a memory join each mini-batch."""

    plugin_class = ReplayPlugin

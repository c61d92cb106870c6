"""Averaged gradient episodic memory (Chaudhry et al., ICLR 2019)."""

from __future__ import annotations

from cl_strategies.plugins.rehearsal.agem import AGEMPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class AGEM(PluginStrategy):
    """Fine-tuning whose gradients do not raise the loss on a memory."""

    plugin_class = AGEMPlugin

"""Mode-IMM (Lee et al., "Overcoming Catastrophic Forgetting by Incremental Moment Matching",
NeurIPS 2017)."""

from __future__ import annotations

from cl_strategies.plugins.merging.mode import IMMModePlugin
from cl_strategies.strategies.templates.merging import MergingStrategy


class IMMMode(MergingStrategy):
    """Fine-tuning that is evaluated at the Fisher-weighted mean of the networks it went through."""

    plugin_class = IMMModePlugin

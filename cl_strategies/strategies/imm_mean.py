"""Mean-IMM (Lee et al., "Overcoming Catastrophic Forgetting by Incremental Moment Matching",
NeurIPS 2017)."""

from __future__ import annotations

from cl_strategies.plugins.merging.plugin import IMMMeanPlugin
from cl_strategies.strategies.templates.merging import MergingStrategy


class IMMMean(MergingStrategy):
    """Fine-tuning that is evaluated at the mean of the networks it went through."""

    plugin_class = IMMMeanPlugin

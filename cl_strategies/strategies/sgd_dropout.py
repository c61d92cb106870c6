"""Fine-tuning with dropout: "SGD+dropout" in comparisons of continual learning."""

from __future__ import annotations

from cl_strategies.plugins.dropout.plugin import DropoutPlugin
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class SGDDropout(PluginStrategy):
    """Fine-tuning, with dropout on the inputs and hidden layers of any network."""

    plugin_class = DropoutPlugin

"""DANN (Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 2016)."""

from __future__ import annotations

from cl_strategies.plugins.adaptation.dann import DANNPlugin
from cl_strategies.strategies.templates.adaptation import WHOLE
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class DANN(PluginStrategy):
    """Training on labeled images of one domain, with features that do not tell it from another
    domain, whose images come without labels."""

    needs_whole_experiences = WHOLE
    plugin_class = DANNPlugin

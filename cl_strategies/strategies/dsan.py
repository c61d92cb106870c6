"""DSAN (Zhu et al., "Deep Subdomain Adaptation Network for Image Classification", TNNLS 2021)."""

from __future__ import annotations

from cl_strategies.plugins.adaptation.dsan import DSANPlugin
from cl_strategies.strategies.templates.adaptation import WHOLE
from cl_strategies.strategies.templates.plugin_strategy import PluginStrategy


class DSAN(PluginStrategy):
    """Training on labeled images of one domain, with the features of each class drawn to those of
    another domain, whose images come without labels."""

    needs_whole_experiences = WHOLE
    plugin_class = DSANPlugin

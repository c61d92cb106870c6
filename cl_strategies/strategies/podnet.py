"""PODNet (Douillard, Cord, Ollion, Robert, Valle, ECCV 2020)."""

from __future__ import annotations

from cl_strategies.plugins.incremental.methods.podnet import PODNetMethod
from cl_strategies.strategies.templates.class_incremental import ClassIncremental


class PODNet(ClassIncremental):
    """Distillation of pooled feature maps, and classes of several proxies."""

    learner_class = PODNetMethod

"""AANets (Liu, Schiele, Sun, CVPR 2021)."""

from __future__ import annotations

from cl_strategies.plugins.incremental.methods.aanets import AANetsMethod
from cl_strategies.strategies.templates.class_incremental import ClassIncremental


class AANets(ClassIncremental):
    """LUCIR on a stable and a plastic branch that are mixed level by level."""

    learner_class = AANetsMethod

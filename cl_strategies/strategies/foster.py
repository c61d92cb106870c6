"""FOSTER (Wang, Zhou, Ye, Zhan, ECCV 2022)."""

from __future__ import annotations

from cl_strategies.plugins.incremental.methods.foster import FosterMethod
from cl_strategies.strategies.templates.class_incremental import ClassIncremental


class FOSTER(ClassIncremental):
    """Boosts the old network by a new backbone, then compresses both into one."""

    learner_class = FosterMethod

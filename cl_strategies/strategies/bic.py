"""BiC (Wu, Chen, Wang, Ye, Liu, Guo, Fu, CVPR 2019)."""

from __future__ import annotations

from cl_strategies.plugins.incremental.methods.bias_correction import BiasCorrectionMethod
from cl_strategies.strategies.templates.class_incremental import ClassIncremental


class BiC(ClassIncremental):
    """Distillation, then a linear correction of new scores on held-out samples."""

    learner_class = BiasCorrectionMethod

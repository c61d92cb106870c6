"""WA (Zhao, Xiao, Gan, Zhang, Xia, CVPR 2020)."""

from __future__ import annotations

from cl_strategies.plugins.incremental.methods.weight_aligning import WeightAligningMethod
from cl_strategies.strategies.templates.class_incremental import ClassIncremental


class WA(ClassIncremental):
    """Distillation, then the classifier's new rows are scaled to the mean norm of the old."""

    learner_class = WeightAligningMethod

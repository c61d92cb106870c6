"""LUCIR (Hou, Pan, Loy, Wang, Lin, CVPR 2019)."""

from __future__ import annotations

from cl_strategies.plugins.incremental.methods.lucir import LUCIRMethod
from cl_strategies.strategies.templates.class_incremental import ClassIncremental


class LUCIR(ClassIncremental):
    """Cosine classifier, less-forget constraint and margin ranking."""

    learner_class = LUCIRMethod

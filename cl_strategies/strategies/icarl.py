"""iCaRL (Rebuffi, Kolesnikov, Sperl, Lampert, CVPR 2017)."""

from __future__ import annotations

from cl_strategies.plugins.incremental.methods.icarl import ICaRLMethod
from cl_strategies.strategies.templates.class_incremental import ClassIncremental


class ICaRL(ClassIncremental):
    """Herded exemplars, distillation, and classification by the nearest mean of exemplars."""

    learner_class = ICaRLMethod

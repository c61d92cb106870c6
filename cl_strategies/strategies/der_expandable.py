"""DER (Yan, Xie, He, "Dynamically Expandable Representation", CVPR 2021)."""

from __future__ import annotations

from cl_strategies.plugins.incremental.methods.expandable import ExpandableMethod
from cl_strategies.strategies.templates.class_incremental import ClassIncremental


class ExpandableRepresentation(ClassIncremental):
    """A backbone per experience, the old ones frozen; not Dark Experience Replay."""

    learner_class = ExpandableMethod

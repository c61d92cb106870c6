"""Evaluation plugins for the boxes of two-resolution exemplars."""

from __future__ import annotations

import math

from cl_strategies.plugins.exemplars.replay.metrics import MemoryMetric
from cl_strategies.plugins.masking.plugin import CIMPlugin
from cl_strategies.plugins.metrics.resources import ExperienceMetric
from cl_strategies.plugins.protocols.training import TrainingStrategy


class BoxArea(MemoryMetric):
    """Measure the mean share of an image that its box covers; NaN for exemplars without boxes."""

    name, entry = "Box_Area", "box_area"


class CamOverlap(ExperienceMetric):
    """Measure the mean intersection over union of boxes with those of class activation maps.

    It is that of the images of the experience; NaN for a strategy without masks.
    """

    name = "CAM_Overlap"

    def measure(self, strategy: TrainingStrategy) -> float:
        value = cam_overlap(strategy)
        return math.nan if value is None else value


def cam_overlap(strategy: TrainingStrategy) -> float | None:
    """Return :attr:`CIMPlugin.cam_overlap` of a strategy; ``None`` for one without masks."""
    for plugin in strategy.plugins:
        if isinstance(plugin, CIMPlugin):
            return plugin.cam_overlap
    return None


def mask_metrics() -> list[ExperienceMetric]:
    """Return all of these metrics, for ``EvaluationPlugin(*mask_metrics(), ...)``."""
    return [BoxArea(), CamOverlap()]

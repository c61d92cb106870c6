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
        return box_overlaps(strategy).get("cam_overlap", math.nan)


class TrueOverlap(ExperienceMetric):
    """Measure the mean intersection over union of boxes with those that the stream knows.

    It is that of the images of the experience; NaN for a strategy without masks, and for a stream
    that does not say where its objects are.
    """

    name = "True_Overlap"

    def measure(self, strategy: TrainingStrategy) -> float:
        return box_overlaps(strategy).get("true_overlap", math.nan)


def box_overlaps(strategy: TrainingStrategy) -> dict[str, float]:
    """Return those of ``cam_overlap`` and ``true_overlap`` of a strategy that are defined."""
    for plugin in strategy.plugins:
        if isinstance(plugin, CIMPlugin):
            found = {"cam_overlap": plugin.cam_overlap, "true_overlap": plugin.true_overlap}
            return {name: value for name, value in found.items() if value is not None}
    return {}


def mask_metrics() -> list[ExperienceMetric]:
    """Return all of these metrics, for ``EvaluationPlugin(*mask_metrics(), ...)``."""
    return [BoxArea(), CamOverlap(), TrueOverlap()]

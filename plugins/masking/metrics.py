"""Evaluation plugins for the boxes of two-resolution exemplars."""

from __future__ import annotations

import math
from typing import Any

from cl_strategies.plugins.exemplars.metrics import MemoryMetric
from cl_strategies.plugins.masking.plugin import CIMPlugin
from cl_strategies.plugins.metrics.resources import ExperienceMetric


class BoxArea(MemoryMetric):
    """Mean share of an exemplar's image that its box covers; NaN for exemplars without boxes."""

    name, entry = "Box_Area", "box_area"


class CamOverlap(ExperienceMetric):
    """Mean intersection over union of the masks' boxes with those of class activation maps.

    Of the images of the experience; NaN for a strategy without masks.
    """

    name = "CAM_Overlap"

    def measure(self, strategy: Any) -> float:
        value = cam_overlap(strategy)
        return math.nan if value is None else value


def cam_overlap(strategy: Any) -> float | None:
    """:attr:`CIMPlugin.cam_overlap` of a strategy; ``None`` for one without masks."""
    for plugin in strategy.plugins:
        if isinstance(plugin, CIMPlugin):
            return plugin.cam_overlap
    return None


def mask_metrics() -> list[ExperienceMetric]:
    """All of them, for ``EvaluationPlugin(*mask_metrics(), ...)``."""
    return [BoxArea(), CamOverlap()]

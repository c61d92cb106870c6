"""Measure how much boxes differ from those of plain activation maps, and from known ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer.encoder import BoxOf, BoxRule
from cl_strategies.plugins.masking.boxes import Box, CamBoxes, true_boxes
from cl_strategies.plugins.protocols.training import TrainingStrategy


class MeasuredBoxes:
    """Make boxes by a rule, and compare them with others of the same images.

    Masks that hardly differ from class activation maps cannot do better than these; so the overlap
    with the boxes of the network's own maps says whether learning them had an effect at all. The
    overlap with the boxes that the stream knows says whether they are where the objects are.

    :param rule: The rule that makes the boxes.
    :param threshold: Threshold of the activation maps, where ``rule`` has none.
    :ivar overlaps: Mean intersection over union with the boxes of activation maps (``cam_overlap``)
        and with known ones (``true_overlap``), over the images that were encoded last; without
        those that a network or a stream does not have.
    """

    def __init__(self, *, rule: BoxRule, threshold: float) -> None:
        self.rule = rule
        self.threshold = threshold
        self.overlaps: dict[str, float] = {}

    def __call__(self, strategy: TrainingStrategy, dataset: Any) -> BoxOf:
        box_of = self.rule(strategy, dataset)
        found = {"cam_overlap": self._cam(strategy, dataset), "true_overlap": true_boxes(dataset)}
        others = {name: other for name, other in found.items() if other is not None}
        self.overlaps = {}
        seen: set[int] = set()
        totals = dict.fromkeys(others, 0.0)

        def noting(row: int, size: tuple[int, int]) -> Box:
            box = box_of(row, size)
            if row not in seen:  # an image may be encoded for its rank and again to be stored
                seen.add(row)
                for name, other in others.items():
                    totals[name] += intersection_over_union(box, other(row, size))
                    self.overlaps[name] = totals[name] / len(seen)
            return box

        return noting

    def _cam(self, strategy: TrainingStrategy, dataset: Any) -> BoxOf | None:
        threshold = self.rule.threshold if isinstance(self.rule, CamBoxes) else self.threshold
        try:
            return CamBoxes(threshold=threshold)(strategy, dataset)
        except UserError:  # no such maps, or transforms that crop
            return None


def intersection_over_union(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the area that two boxes ``(h0, h1, w0, w1)`` share, over the area that either covers.

    Two empty boxes count as equal.

    >>> intersection_over_union((0, 2, 0, 2), (0, 2, 1, 3))
    0.3333333333333333
    """
    height = min(first[1], second[1]) - max(first[0], second[0])
    width = min(first[3], second[3]) - max(first[2], second[2])
    shared = max(0, height) * max(0, width)
    union = sum((b[1] - b[0]) * (b[3] - b[2]) for b in (first, second)) - shared
    return shared / union if union else 1.0

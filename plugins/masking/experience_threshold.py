"""Choose a threshold for each experience: the ablation "Phase-wise tau" of the CIM paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from cl_strategies.plugins.classes.seen_classes import rule_out_unseen
from cl_strategies.plugins.exemplars.codecs.base import Codec
from cl_strategies.plugins.exemplars.codecs.pixels import to_pixels
from cl_strategies.plugins.features.extraction import batches
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.masking.boxes import activation_maps, all_boxes, boxes_from_maps
from cl_strategies.plugins.masking.compression_artifacts import ArtifactImages
from cl_strategies.plugins.protocols.training import TrainingStrategy

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def choose_threshold(
    strategy: TrainingStrategy,
    dataset: Any,
    codec: Codec,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> float:
    """Return the threshold under which a byte of memory buys the most correctly classified images.

    The paper selects tau by hand on held-out samples and does not say by what measure. Here it is
    the accuracy of the network on the held-out images as they would be stored, divided by the
    bytes that they would take; ties go to the lower threshold, which keeps more of the image.

    :param strategy: An object with ``model``, ``device`` and ``eval_mb_size``.
    :param dataset: An Avalanche data set that the network was not trained on.
    :param codec: The codec that exemplars are stored with.
    :param thresholds: Thresholds to choose from.
    """
    maps = activation_maps(strategy, dataset)
    best, best_score = thresholds[0], -1.0
    for threshold in thresholds:
        stored = ArtifactImages(dataset, codec)
        stored.update(all_boxes(dataset, boxes_from_maps(maps, threshold)), 1.0)
        score = accuracy(strategy, stored.dataset()) / _bytes(stored)
        if score > best_score:
            best, best_score = threshold, score
    return best


@torch.no_grad()
def accuracy(strategy: TrainingStrategy, dataset: Any) -> float:
    """Return the accuracy of the network on ``dataset``, under its ``eval`` transforms."""
    correct = 0
    with evaluating(strategy.model):
        for x, y, *_ in batches(dataset.eval(), strategy.eval_mb_size):
            logits = rule_out_unseen(strategy, strategy.model(x.to(strategy.device)))
            predicted = logits.argmax(1)
            correct += int((predicted == y.to(strategy.device)).sum())
    return correct / len(dataset)


def _bytes(stored: ArtifactImages) -> int:
    images = (to_pixels(stored.images[row])[0] for row in range(len(stored)))
    boxes = stored.boxes.tolist()
    return sum(stored.codec.cost(*pair) for pair in zip(images, boxes, strict=True))

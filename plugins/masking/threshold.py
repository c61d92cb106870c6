"""A threshold for each phase: the ablation "Phase-wise tau" of the CIM paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from cl_strategies.plugins.exemplars.codec import Codec
from cl_strategies.plugins.exemplars.features import batches
from cl_strategies.plugins.exemplars.pixels import to_pixels
from cl_strategies.plugins.masking.artefacts import ArtefactImages
from cl_strategies.plugins.masking.boxes import activation_maps, all_boxes, boxes_from_maps
from cl_strategies.plugins.modes import evaluating
from cl_strategies.plugins.seen_classes import rule_out_unseen

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def choose_threshold(
    agent: Any, dataset: Any, codec: Codec, *, thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """The threshold under which a byte of memory buys the most correctly classified images.

    The paper selects tau by hand on held-out samples and does not say by what measure. Here it is
    the accuracy of the network on the held-out images as they would be stored, divided by the
    bytes that they would take; ties go to the lower threshold, which keeps more of the image.

    :param agent: a strategy: ``model``, ``device`` and ``eval_mb_size`` are used.
    :param dataset: an Avalanche data set that the network was not trained on.
    :param codec: what the exemplars are stored with.
    :param thresholds: candidates.
    """
    maps = activation_maps(agent, dataset)
    best, best_score = thresholds[0], -1.0
    for threshold in thresholds:
        stored = ArtefactImages(dataset, codec)
        stored.update(all_boxes(dataset, boxes_from_maps(maps, threshold)), 1.0)
        score = accuracy(agent, stored.dataset()) / _bytes(stored)
        if score > best_score:
            best, best_score = threshold, score
    return best


@torch.no_grad()
def accuracy(agent: Any, dataset: Any) -> float:
    """Share of ``dataset`` that the network classifies correctly, under ``eval`` transforms."""
    correct = 0
    with evaluating(agent.model):
        for x, y, *_ in batches(dataset.eval(), agent.eval_mb_size):
            logits = rule_out_unseen(agent, agent.model(x.to(agent.device)))
            predicted = logits.argmax(1)
            correct += int((predicted == y.to(agent.device)).sum())
    return correct / len(dataset)


def _bytes(stored: ArtefactImages) -> int:
    images = (to_pixels(stored.images[row])[0] for row in range(len(stored)))
    boxes = stored.boxes.tolist()
    return sum(stored.codec.cost(*pair) for pair in zip(images, boxes, strict=True))

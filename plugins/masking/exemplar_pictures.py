"""Read exemplars as they are stored, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import interpolate

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer.byte_budget import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.buffer.quota import Record
from cl_strategies.plugins.exemplars.codecs.pixels import Pixels
from cl_strategies.plugins.exemplars.codecs.two_resolution import TwoResolution
from cl_strategies.plugins.exemplars.replay.metrics import byte_memory
from cl_strategies.plugins.masking.boxes import activation_maps
from cl_strategies.plugins.masking.plugin import CIMPlugin
from cl_strategies.plugins.protocols.training import TrainingStrategy

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class StoredPicture:
    """One exemplar.

    :param label: Class id.
    :param pixels: The decoded payload, uint8 ``(H, W, C)``.
    :param box: Box of a two-resolution exemplar.
    :param heat: Activation map of its class, in ``[0, 1]``, ``(H, W)``; ``None`` for a
        network without activation maps.
    """

    label: int
    pixels: Pixels
    box: Box | None = None
    heat: npt.NDArray[np.float32] | None = None


def stored_pictures(
    strategy: TrainingStrategy, *, classes: int = 10, per_class: int = 6
) -> list[StoredPicture]:
    """Return the first exemplars of each class, with boxes and heat maps where they exist.

    Heat maps are of the network as it is now, with the activation functions that CIM learned.

    :param classes: How many classes to show, evenly over those that are stored.
    :param per_class: How many exemplars of each class to show.
    :returns: class by class; nothing for a strategy without such a memory.
    """
    memory = byte_memory(strategy)
    if memory is None or not memory.records:
        return []
    rows = _chosen([record.label for record in memory.records], classes, per_class)
    records = [memory.records[row] for row in rows]
    pixels = [memory.codec.decode(record.payload) for record in records]
    heats = _heats(strategy, memory, rows, [(p.shape[0], p.shape[1]) for p in pixels])
    return [
        StoredPicture(record.label, image, _box(memory, record), heat)
        for record, image, heat in zip(records, pixels, heats, strict=True)
    ]


def _chosen(labels: Sequence[int], classes: int, per_class: int) -> list[int]:
    present = sorted(set(labels))
    places = np.linspace(0, len(present) - 1, min(classes, len(present))).round().astype(int)
    rows = []
    for label in [present[place] for place in places]:
        rows += [row for row, other in enumerate(labels) if other == label][:per_class]
    return rows


def _box(memory: ByteBudgetBuffer, record: Record) -> Box | None:
    codec = memory.codec
    return codec.box(record.payload) if isinstance(codec, TwoResolution) else None


def _heats(
    strategy: TrainingStrategy,
    memory: ByteBudgetBuffer,
    rows: list[int],
    sizes: list[tuple[int, int]],
) -> list[npt.NDArray[np.float32] | None]:
    masks = [plugin for plugin in strategy.plugins if isinstance(plugin, CIMPlugin)]
    activations = masks[0].learner.activations if masks else None
    try:
        maps = activation_maps(strategy, memory.buffer.subset(rows), activations)
    except UserError:  # no such maps, or transforms that crop
        return [None] * len(rows)
    return [
        interpolate(one[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
        .clamp(0, 1)
        .to(torch.float32)
        .numpy()
        for one, size in zip(maps, sizes, strict=True)
    ]

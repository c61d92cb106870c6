"""Rules that say which part of each image an exemplar keeps at full resolution.

A rule is called with the strategy and the new data set, and returns a function from the index of
a sample and the size of its image to a box.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torchvision import transforms as tv

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.plugins.exemplars.encoding import BoxOf, BoxRule
from cl_strategies.plugins.exemplars.features import batches
from cl_strategies.plugins.exemplars.source import RawImages, image_transforms
from cl_strategies.plugins.masking.functional import bounding_boxes
from cl_strategies.plugins.masking.pade import PadeActivations
from cl_strategies.plugins.masking.tap import Tap
from cl_strategies.plugins.modes import evaluating

Box = tuple[int, int, int, int]

_CROPS = (tv.CenterCrop, tv.RandomCrop, tv.RandomResizedCrop, tv.FiveCrop, tv.TenCrop)


class EmptyBoxes:
    """Everything is background: the paper's ablation "Full Comp."."""

    def __call__(self, agent: Any, dataset: Any) -> BoxOf:
        return lambda row, size: (0, 0, 0, 0)


class CentreBoxes:
    """The centre of each image: "Center Acti.".

    :param area: share of the image, in ``(0, 1]``.
    :raises UserError: for another area.
    """

    def __init__(self, area: float = 0.25) -> None:
        self.area = _share(area)

    def __call__(self, agent: Any, dataset: Any) -> BoxOf:
        return lambda row, size: _placed(size, self.area, 0.5, 0.5)


class RandomBoxes:
    """A box of a fixed size at a place drawn uniformly: "Random Acti.".

    The paper does not say how its random regions are drawn; of equal size, they cost what
    :class:`CentreBoxes` cost.

    :param area: share of the image, in ``(0, 1]``.
    :raises UserError: for another area.
    """

    def __init__(self, area: float = 0.25) -> None:
        self.area = _share(area)

    def __call__(self, agent: Any, dataset: Any) -> BoxOf:
        places = torch.rand(len(dataset), 2).tolist()
        return lambda row, size: _placed(size, self.area, *places[row])


class CamBoxes:
    """The smallest box around what activates an image's own class: "Class Acti.", and CIM.

    The network sees each image through the transforms of the group ``cam`` if the data set has
    it, else of ``eval``; they must show the whole image, so that the map can be laid over it.

    :param threshold: tau: how much of the greatest activation counts as active, in ``[0, 1)``.
    :param activations: units that replace the network's ReLUs (CIM); ``None``: the network as it
        is. May be set later.
    """

    def __init__(self, threshold: float = 0.6, activations: PadeActivations | None = None) -> None:
        if not 0 <= threshold < 1:
            raise UserError(f"threshold is {threshold}: give a number from 0 to below 1")
        self.threshold = threshold
        self.activations = activations

    def __call__(self, agent: Any, dataset: Any) -> BoxOf:
        maps = activation_maps(agent, dataset, self.activations)
        return boxes_from_maps(maps, self.threshold)


def boxes_from_maps(maps: Tensor, threshold: float) -> BoxOf:
    """The boxes that activation maps ``(N, h, w)`` give at a threshold."""

    def box_of(row: int, size: tuple[int, int]) -> Box:
        h0, h1, w0, w1 = bounding_boxes(maps[row : row + 1], [size], threshold=threshold)[0]
        return int(h0), int(h1), int(w0), int(w1)

    return box_of


def make_boxes(name: str) -> BoxRule:
    """The rule of this name, with its defaults.

    :param name: ``empty``, ``centre``, ``random`` or ``cam``.
    :raises UserError: for an unknown name.
    """
    rules = {"empty": EmptyBoxes, "centre": CentreBoxes, "random": RandomBoxes, "cam": CamBoxes}
    if name not in rules:
        raise unknown_name("rule for boxes", name, rules)
    return rules[name]()


@torch.no_grad()
def activation_maps(agent: Any, dataset: Any, activations: PadeActivations | None = None) -> Tensor:
    """The map of each sample's own class, ``(N, h, w)`` on the CPU (Eq. 1).

    :param agent: a strategy: ``model``, ``device`` and ``eval_mb_size`` are used.
    :param dataset: an Avalanche data set; see :class:`CamBoxes` for its transforms.
    :param activations: units that replace the network's ReLUs.
    :raises UserError: for a network without class activation maps, or transforms that crop.
    """
    view = dataset.with_transforms(whole_image_group(dataset))
    maps: list[Tensor] = []
    tap: Tap | None = None
    with evaluating(agent.model):
        for x, y, *_ in batches(view, agent.eval_mb_size):
            x, y = x.to(agent.device), y.to(agent.device)
            tap = tap or Tap(agent.model, x)
            with tap.features() as features:
                if activations is None:
                    agent.model(x)
                else:
                    with activations.replacing():
                        agent.model(x)
            maps.append(tap.maps(features[-1], y).cpu())
    return torch.cat(maps)


def whole_image_group(dataset: Any) -> str:
    """``"cam"`` if the data set has such a group of transforms, else ``"eval"``.

    :raises UserError: if that group crops.
    """
    found = image_transforms(dataset, others=("cam",))
    group = "cam" if found.get("cam") is not None else "eval"
    pipeline = found[group]
    for transform in getattr(pipeline, "transforms", ()):
        if isinstance(transform, _CROPS):
            raise UserError(
                f"the {group} transforms crop ({type(transform).__name__}), so that maps cannot "
                "be laid over the whole image: give the stream a group 'cam' that resizes only"
            )
    return group


def all_boxes(dataset: Any, box_of: BoxOf) -> Tensor:
    """The box of every sample, int64 ``(N, 4)``."""
    images = RawImages(dataset)
    rows = [box_of(row, image_size(images[row])) for row in range(len(images))]
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 4)


def image_size(image: Any) -> tuple[int, int]:
    """Height and width of a Pillow image, a tensor (C, H, W) or an array (H, W, ...)."""
    if isinstance(image, Tensor):
        return int(image.shape[-2]), int(image.shape[-1])
    if hasattr(image, "mode"):
        return int(image.size[1]), int(image.size[0])
    return int(image.shape[0]), int(image.shape[1])


def _share(area: float) -> float:
    if not 0 < area <= 1:
        raise UserError(f"area is {area}: give a share of the image above 0 and up to 1")
    return area


def _placed(size: tuple[int, int], area: float, down: float, right: float) -> Box:
    """A box of the image's shape and a share of its area, at a share of the free room."""
    side = math.sqrt(area)
    height, width = (max(1, round(n * side)) for n in size)
    top, left = round((size[0] - height) * down), round((size[1] - width) * right)
    return top, top + height, left, left + width

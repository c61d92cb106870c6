"""Rules for boxes, which say which part of each image an exemplar keeps at full resolution.

A rule is called with the strategy and the new data set, and returns a function from the index of
a sample and the size of its image to a box.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Annotated, Any

import torch
from avalanche.models import avalanche_forward
from torch import Tensor
from torchvision import transforms as tv
from typing_extensions import Doc

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.plugins.exemplars.buffer.avalanche_data import RawImages, image_transforms
from cl_strategies.plugins.exemplars.buffer.encoder import BoxOf, BoxRule
from cl_strategies.plugins.features.extraction import batches
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.masking.cam_extractor import CamExtractor
from cl_strategies.plugins.masking.functional import bounding_boxes
from cl_strategies.plugins.masking.options import Area, Threshold
from cl_strategies.plugins.masking.pade import PadeActivations
from cl_strategies.plugins.protocols.evaluable import Evaluable
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters

Box = tuple[int, int, int, int]

_CROPS = (tv.CenterCrop, tv.RandomCrop, tv.RandomResizedCrop, tv.FiveCrop, tv.TenCrop)


class EmptyBoxes:
    """Give each image the empty box: the paper's ablation "Full Comp."."""

    def __call__(self, strategy: TrainingStrategy, dataset: Any) -> BoxOf:
        return lambda row, size: (0, 0, 0, 0)


@hyperparameters
class CenterBoxes:
    """Give each image a box at its center: "Center Acti."."""

    def __init__(self, *, area: Area = 0.25) -> None:
        self.area = area

    def __call__(self, strategy: TrainingStrategy, dataset: Any) -> BoxOf:
        return lambda row, size: _placed(size, self.area, 0.5, 0.5)


@hyperparameters
class RandomBoxes:
    """Give each image a box of a fixed size at a place drawn uniformly: "Random Acti.".

    The paper does not say how its random regions are drawn; of equal size, they cost what
    :class:`CenterBoxes` cost.
    """

    def __init__(self, *, area: Area = 0.25) -> None:
        self.area = area

    def __call__(self, strategy: TrainingStrategy, dataset: Any) -> BoxOf:
        places = torch.rand(len(dataset), 2).tolist()
        return lambda row, size: _placed(size, self.area, *places[row])


class TrueBoxes:
    """Give each image the box that its stream knows: what masks can reach at best.

    A data set has such boxes as its attribute ``true_boxes``, which subsets of it keep.
    """

    def __call__(self, strategy: TrainingStrategy, dataset: Any) -> BoxOf:
        """:raises UserError: for a data set without boxes."""
        box_of = true_boxes(dataset)
        if box_of is None:
            raise no_true_boxes("this data set")
        return box_of


def true_boxes(dataset: Any) -> BoxOf | None:
    """Return the boxes that a data set knows, or ``None``."""
    known = getattr(dataset, "true_boxes", None)
    return None if known is None else lambda row, size: known[row]


def no_true_boxes(what: str) -> UserError:
    """Return the error for a stream that does not say where its objects are."""
    return UserError(
        f"{what} does not know which part of an image shows its object, which masks='oracle' "
        "needs: use photo-digits or photo-fashion-mnist, give your data sets a DataAttribute "
        "'true_boxes' of boxes (h0, h1, w0, w1) in pixels, or choose other masks, such as 'cam'"
    )


@hyperparameters
class CamBoxes:
    """Give each image the smallest box around what activates its class: "Class Acti.", and CIM.

    The network sees each image through the transforms of the group ``cam`` if the data set has
    it, else of ``eval``; they must show the whole image, so that the map can be laid over it.
    """

    def __init__(
        self,
        *,
        threshold: Threshold = 0.6,
        activations: Annotated[
            PadeActivations | None,
            Doc("Units in place of the network's ReLUs, as CIM has them; may be set later."),
        ] = None,
    ) -> None:
        self.threshold = threshold
        self.activations = activations

    def __call__(self, strategy: TrainingStrategy, dataset: Any) -> BoxOf:
        maps = activation_maps(strategy, dataset, self.activations)
        return boxes_from_maps(maps, self.threshold)


def boxes_from_maps(maps: Tensor, threshold: float) -> BoxOf:
    """Return the boxes that activation maps ``(N, h, w)`` give at a threshold."""

    def box_of(row: int, size: tuple[int, int]) -> Box:
        h0, h1, w0, w1 = bounding_boxes(maps[row : row + 1], [size], threshold=threshold)[0]
        return int(h0), int(h1), int(w0), int(w1)

    return box_of


def make_boxes(name: str) -> BoxRule:
    """Return the rule of this name, with its defaults.

    :param name: ``"empty"``, ``"center"``, ``"random"`` or ``"cam"``.
    :raises UserError: for an unknown name.
    """
    rules = {"empty": EmptyBoxes, "center": CenterBoxes, "random": RandomBoxes, "cam": CamBoxes}
    if name not in rules:
        raise unknown_name("rule for boxes", name, rules)
    return rules[name]()


@torch.no_grad()
def activation_maps(
    strategy: Evaluable, dataset: Any, activations: PadeActivations | None = None
) -> Tensor:
    """Return the map of each sample's own class, ``(N, h, w)`` on the CPU (Eq. 1).

    :param strategy: An object with ``model``, ``device`` and ``eval_mb_size``.
    :param dataset: An Avalanche data set; see :class:`CamBoxes` for its transforms.
    :param activations: Units that replace the network's ReLUs.
    :raises UserError: for a network without class activation maps, or transforms that crop.
    """
    view = dataset.with_transforms(whole_image_group(dataset))
    maps: list[Tensor] = []
    extractors: dict[int, CamExtractor] = {}

    def maps_of(x: Tensor, y: Tensor, task: int) -> Tensor:
        if task not in extractors:
            extractors[task] = CamExtractor(strategy.model, x, task)
        replaced = nullcontext() if activations is None else activations.replacing()
        labels = torch.full((len(x),), task, device=x.device)
        with extractors[task].features() as features, replaced:
            avalanche_forward(strategy.model, x, labels)
        return extractors[task].maps(features[-1], y).cpu()

    with evaluating(strategy.model):
        for x, y, *rest in batches(view, strategy.eval_mb_size):
            tasks = rest[-1] if rest else torch.zeros_like(y)
            x, y = x.to(strategy.device), y.to(strategy.device)
            rows = [(tasks == task).nonzero()[:, 0] for task in tasks.unique()]
            parts = [maps_of(x[at], y[at], int(tasks[at[0]])) for at in rows]
            maps.append(torch.cat(parts)[torch.cat(rows).argsort()])
    return torch.cat(maps)


def whole_image_group(dataset: Any) -> str:
    """Return ``"cam"`` if the data set has such a group of transforms, else ``"eval"``.

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
    """Return the box of every sample, int64 ``(N, 4)``."""
    images = RawImages(dataset)
    rows = [box_of(row, image_size(images[row])) for row in range(len(images))]
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 4)


def image_size(image: Any) -> tuple[int, int]:
    """Return height and width of a Pillow image, a tensor (C, H, W) or an array (H, W, ...)."""
    if isinstance(image, Tensor):
        return int(image.shape[-2]), int(image.shape[-1])
    if hasattr(image, "mode"):
        return int(image.size[1]), int(image.size[0])
    return int(image.shape[0]), int(image.shape[1])


def _placed(size: tuple[int, int], area: float, down: float, right: float) -> Box:
    """Return a box of the image's shape and a share of its area, at a share of the free room."""
    side = math.sqrt(area)
    height, width = (max(1, round(n * side)) for n in size)
    top, left = round((size[0] - height) * down), round((size[1] - width) * right)
    return top, top + height, left, left + width

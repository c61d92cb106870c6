"""Images of the target domain: where they come from, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from cl_strategies.errors import UserError
from cl_strategies.plugins.data.flatten import NotResident
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.data.store import Store
from cl_strategies.plugins.data.table import ResidentTable
from cl_strategies.plugins.protocols.training import TrainingStrategy


def check_target(target: Any) -> Any:
    """Return ``target`` as a data set.

    :param target: images ``(N, C, H, W)``, or a data set of images, or of tuples that begin with
        one.
    :raises UserError: if it is neither, or empty.
    """
    if isinstance(target, Tensor):
        target = TensorDataset(target, torch.full((len(target),), -1))
    if not hasattr(target, "__getitem__") or not hasattr(target, "__len__"):
        raise UserError(
            f"target is a {type(target).__name__}: give a tensor of images (N, C, H, W), or a data "
            "set of images"
        )
    if not len(target):
        raise UserError("target has no image: give the training images of the target domain")
    return target


def unlabeled_images(experience: Any, who: str) -> Any:
    """Return the images without labels that come with an experience.

    :param experience: of a stream that brings such images, as the attribute ``unlabeled``.
    :param who: what wants them, for the message.
    :raises UserError: if it brings none.
    """
    images = getattr(experience, "unlabeled", None)
    if images is None:
        raise UserError(
            f"{who} adapts to images of a target domain, and this experience brings none as "
            "`unlabeled`: use a stream that does, such as adaptation-digits, or give the plugin "
            "images as target="
        )
    return check_target(images)


class TargetBatches:
    """Batches of the images, in a new random order for each pass over them.

    The order does not depend on the sizes of the batches. Images that are tensors in memory, or
    that a :class:`~cl_strategies.plugins.data.plugin.ResidentDataPlugin` of the strategy can keep
    there, are sliced from it; others are read one by one.

    :param images: a data set, see :func:`check_target`.
    :raises UserError: if the images have another shape than those that are trained on.
    """

    def __init__(self, images: Any, strategy: TrainingStrategy) -> None:
        self._images = images
        self._order = self._endless()
        expected = tuple(_image(strategy.adapted_dataset[0]).shape)
        first = images[0]
        found = tuple(_image(first).shape)
        if found != expected:
            raise UserError(
                f"images of the target domain have the shape {found}, and those of the source "
                f"{expected}: bring them to one shape"
            )
        stores = (p.store for p in strategy.plugins if isinstance(p, ResidentDataPlugin))
        device = torch.empty(0, device=strategy.device).device
        self._table: ResidentTable | None
        try:
            if isinstance(first, Tensor) or len(first) < 2:  # tables have a label for each image
                raise NotResident("its samples have no label")
            self._table = ResidentTable([images], next(stores, Store(0)), device)
        except NotResident:
            self._table = None

    def take(self, like: Tensor) -> Tensor:
        """Return as many images as ``like`` has, on its device and of its type."""
        rows = [next(self._order) for _ in range(len(like))]
        if self._table is not None:
            return self._table.batch(torch.tensor(rows))[0].to(like)
        return torch.stack([_image(self._images[row]) for row in rows]).to(like)

    def _endless(self) -> Iterator[int]:
        while True:
            yield from torch.randperm(len(self._images)).tolist()


def _image(item: Any) -> Tensor:
    image: Tensor = item[0] if isinstance(item, tuple | list) else item
    return image

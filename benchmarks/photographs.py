"""Food-101, ImageNet-100 and ImageNet-1000, as class-incremental papers use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cl_strategies.benchmarks.choices import Order, Scenario, check_integer
from cl_strategies.benchmarks.loaders import LoadedDataset, load_dataset
from cl_strategies.benchmarks.split import split_stream
from cl_strategies.errors import unknown_name

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark

PAPERS_ORDER = 1993
"""Seed of the order of classes since iCaRL."""
AUGMENTATIONS = ("jitter", "plain", "autoaugment")

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def food_101(
    *,
    n_experiences: int = 10,
    scenario: Scenario = "class",
    protocol: str = "scratch",
    class_order: Order = None,
    augmentation: str = "jitter",
    image_size: int = 224,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """Food-101: 75,750 training and 25,250 test photographs; options as for
    :func:`imagenet_100`."""
    return _photograph_stream(
        load_dataset("food-101", data_root),
        name="food-101",
        n_experiences=n_experiences,
        scenario=scenario,
        protocol=protocol,
        class_order=class_order,
        augmentation=augmentation,
        image_size=image_size,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def imagenet_100(
    *,
    n_experiences: int = 10,
    scenario: Scenario = "class",
    protocol: str = "scratch",
    class_order: Order = None,
    augmentation: str = "jitter",
    image_size: int = 224,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """The hundred classes of ImageNet that LUCIR drew with the seed 1993.

    Training images are cropped at random and scaled, mirrored, and changed in brightness; test
    images are scaled to 8/7 of ``image_size`` and cropped. A third group of transforms, ``cam``,
    shows the whole image, for activation maps. The other options are those of
    :func:`split_stream`.

    :param n_experiences: N of the protocol.
    :param protocol: ``"scratch"``: N equal tasks; ``"half"``: half of the classes, then N tasks.
    :param class_order: ``None``: the papers' permutation, of seed 1993; a seed; or a permutation.
    :param augmentation: ``"jitter"`` as above (PyCIL, CIM); ``"plain"`` without changes in
        brightness (LUCIR); ``"autoaugment"`` with ImageNet's AutoAugment policy besides (FOSTER).
    :param image_size: height and width of the network's input.
    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if neither ``imagenet-100`` nor ``imagenet`` is on this machine.
    """
    return _photograph_stream(
        load_dataset("imagenet-100", data_root),
        name="imagenet-100",
        n_experiences=n_experiences,
        scenario=scenario,
        protocol=protocol,
        class_order=class_order,
        augmentation=augmentation,
        image_size=image_size,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def imagenet_1000(
    *,
    n_experiences: int = 10,
    scenario: Scenario = "class",
    protocol: str = "scratch",
    class_order: Order = None,
    augmentation: str = "jitter",
    image_size: int = 224,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """All of ImageNet (ILSVRC 2012), tested on its validation part; options as for
    :func:`imagenet_100`."""
    return _photograph_stream(
        load_dataset("imagenet", data_root),
        name="imagenet-1000",
        n_experiences=n_experiences,
        scenario=scenario,
        protocol=protocol,
        class_order=class_order,
        augmentation=augmentation,
        image_size=image_size,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def papers_classes(n_classes: int, among: int) -> list[int]:
    """Which of the sorted classes LUCIR's script keeps, and with it later papers."""
    return np.random.RandomState(PAPERS_ORDER).permutation(among)[:n_classes].tolist()


def papers_transforms(augmentation: str, size: int) -> dict[str, Callable[[Any], Any]]:
    """The groups ``train``, ``eval`` and ``cam``.

    :raises UserError: for an unknown augmentation, or a size out of range.
    """
    from torchvision import transforms as tv

    if augmentation not in AUGMENTATIONS:
        raise unknown_name("augmentation", augmentation, AUGMENTATIONS)
    check_integer("image_size", size, minimum=1)
    last = [tv.ToTensor(), tv.Normalize(_MEAN, _STD)]
    changes = [] if augmentation == "plain" else [tv.ColorJitter(brightness=63 / 255)]
    if augmentation == "autoaugment":
        changes.append(tv.AutoAugment(tv.AutoAugmentPolicy.IMAGENET))
    crop = [tv.RandomResizedCrop(size), tv.RandomHorizontalFlip()]
    return {
        "train": tv.Compose([*crop, *changes, *last]),
        "eval": tv.Compose([tv.Resize(round(size * 8 / 7)), tv.CenterCrop(size), *last]),
        "cam": tv.Compose([tv.Resize((size, size)), *last]),
    }


def _photograph_stream(
    data: LoadedDataset,
    *,
    name: str,
    class_order: Order,
    augmentation: str,
    image_size: int,
    **options: Any,
) -> StreamBenchmark:
    return split_stream(
        data,
        name=name,
        class_order=PAPERS_ORDER if class_order is None else class_order,
        transforms=papers_transforms(augmentation, image_size),
        **options,
    )

"""Food-101, ImageNet-100 and ImageNet-1000, as class-incremental papers use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Unpack

from typing_extensions import Doc

from cl_strategies.benchmarks.core.options import (
    DataRoot,
    ImageSize,
    NExperiences,
    ProtocolOptions,
    Scenario,
)
from cl_strategies.benchmarks.datasets.published import LoadedDataset
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.split import split_stream
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Default

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

PAPERS_ORDER = 1993
"""Seed of the order of classes since iCaRL."""

Augmentation = Annotated[
    Literal["jitter", "plain", "autoaugment"],
    Doc(
        "How training images are changed besides crops and flips: in brightness (jitter: PyCIL, "
        "CIM), not at all (plain: LUCIR), or in brightness and by ImageNet's AutoAugment policy "
        "(autoaugment: FOSTER)."
    ),
]


class PhotographOptions(ProtocolOptions, total=False):
    """The options of a split stream of photographs."""

    n_experiences: Annotated[NExperiences, Default(10)]
    scenario: Annotated[Scenario, Default("class")]
    augmentation: Annotated[Augmentation, Default("jitter")]
    image_size: Annotated[ImageSize, Default(224)]


_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@hyperparameters
def food_101(
    *, data_root: DataRoot = None, **options: Unpack[PhotographOptions]
) -> StreamBenchmark:
    """Split Food-101 by class: 75,750 training and 25,250 test photographs.

    Images are treated as by :func:`imagenet_100`.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _photograph_stream(load_dataset("food-101", data_root), "food-101", options)


@hyperparameters
def imagenet_100(
    *, data_root: DataRoot = None, **options: Unpack[PhotographOptions]
) -> StreamBenchmark:
    """Split the hundred classes of ImageNet that LUCIR drew with the seed 1993.

    Training images are cropped at random and scaled, mirrored, and changed as ``augmentation``
    says; test images are scaled to 8/7 of ``image_size`` and cropped. A third group of transforms,
    ``cam``, shows the whole image, for activation maps. By default classes come in the order of the
    papers: the permutation of seed 1993.

    :raises DataMissingError: if neither ``imagenet-100`` nor ``imagenet`` is on this machine.
    """
    return _photograph_stream(load_dataset("imagenet-100", data_root), "imagenet-100", options)


@hyperparameters
def imagenet_1000(
    *, data_root: DataRoot = None, **options: Unpack[PhotographOptions]
) -> StreamBenchmark:
    """Split all of ImageNet (ILSVRC 2012) by class; its validation part is the test stream.

    Images are treated as by :func:`imagenet_100`.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _photograph_stream(load_dataset("imagenet", data_root), "imagenet-1000", options)


def photograph_transforms(augmentation: Augmentation, size: int) -> dict[str, Callable[[Any], Any]]:
    """Make the groups of transforms ``train``, ``eval`` and ``cam``.

    :param augmentation: how training images are changed besides crops and flips.
    :param size: height and width of the images, in pixels.
    """
    from torchvision import transforms as tv

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
    data: LoadedDataset, name: str, options: PhotographOptions
) -> StreamBenchmark:
    class_order = options["class_order"]
    return split_stream(
        data,
        name=name,
        n_experiences=options["n_experiences"],
        scenario=options["scenario"],
        protocol=options["protocol"],
        class_order=PAPERS_ORDER if class_order is None else class_order,
        transforms=photograph_transforms(options["augmentation"], options["image_size"]),
        order=options["order"],
        fraction=options["fraction"],
        validation=options["validation"],
    )

"""From options to what becomes of images: size and channels, augmentation, normalization."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cl_strategies.benchmarks.core.builder import FittedTransforms, Transforms
from cl_strategies.benchmarks.own.options import PictureOptions
from cl_strategies.benchmarks.own.pictures import PictureSamples, Treatment
from cl_strategies.errors import UserError

_DECIMALS = 6  # of a measured mean and deviation


def check_picture_options(options: PictureOptions) -> None:
    """:raises UserError: for options that do not go together."""
    size, channels = options["image_size"], 1 if options["color"] == "gray" else 3
    if isinstance(size, Sequence) and len(size) != 2:
        raise UserError(
            f"image_size is {list(size)}: give one number of pixels, or height and width"
        )
    mean, std = options["mean"], options["std"]
    if (mean is None) != (std is None):
        raise UserError("mean and std belong together: give both, or neither to measure them")
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and len(values) != channels:
            raise UserError(
                f"{name} is {list(values)}: give {channels}, one for each channel of color = "
                f'"{options["color"]}"'
            )
    if mean is not None and not options["normalize"]:
        raise UserError("mean and std are given, and normalize is false: leave one of them out")
    if size is None and options["resize"] != "stretch":
        raise UserError(f'resize is "{options["resize"]}", and there is no image_size: give one')


def treatment_of(options: PictureOptions) -> Treatment:
    """Return how each image is brought to its form."""
    size = options["image_size"]
    if isinstance(size, int):
        size = (size, size)
    return Treatment(
        size=None if size is None else (size[0], size[1]),
        crop=options["resize"] == "crop",
        gray=options["color"] == "gray",
    )


def picture_transforms(options: PictureOptions) -> FittedTransforms:
    """Return what makes the transforms, from the first experience where they are measured."""

    def made(samples: Any, rows: np.ndarray) -> Transforms:
        mean, std = options["mean"], options["std"]
        if options["normalize"] and mean is None:
            mean, std = measured(samples, rows)
        height, width = samples.pictures.size
        return _transforms(options["augmentation"], (height, width), mean, std)

    return made


def measured(samples: PictureSamples, rows: np.ndarray) -> tuple[list[float], list[float]]:
    """Return mean and deviation of each channel of pixels in ``[0, 1]``, to six decimals.

    Sums are of integers, so that they are the same on every machine. A channel that is the same
    in every pixel gets the deviation 1.

    :param rows: the images that are measured.
    """
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    for images in samples.pictures.arrays(samples.rows[rows]):
        pixels = images.reshape(-1, images.shape[-1]).astype(np.int64)
        count += len(pixels)
        total = total + pixels.sum(axis=0)
        squares = squares + (pixels**2).sum(axis=0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0)) / 255
    std = np.round(std, _DECIMALS)
    return np.round(mean / 255, _DECIMALS).tolist(), np.where(std > 0, std, 1.0).tolist()


def _transforms(
    augmentation: str,
    size: tuple[int, int],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Mapping[str, Callable[[Any], Any]]:
    from torchvision import transforms as tv

    last: list[Any] = [tv.ToTensor()]
    if mean is not None and std is not None:
        last.append(tv.Normalize(tuple(mean), tuple(std)))
    changes: list[Any] = []
    if "crop" in augmentation:
        border = (max(1, size[1] // 8), max(1, size[0] // 8))
        changes.append(tv.RandomCrop(size, padding=border))
    if "flip" in augmentation:
        changes.append(tv.RandomHorizontalFlip())
    return {"train": tv.Compose([*changes, *last]), "eval": tv.Compose(last)}

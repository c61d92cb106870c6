"""Streams of objects on photographs: digits and Fashion-MNIST on scikit-learn's two pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cl_strategies.benchmarks.choices import Order, Scenario, check_integer, check_seed
from cl_strategies.benchmarks.loaders import LoadedDataset, load_dataset
from cl_strategies.benchmarks.pasting import PastedSamples, Pixels
from cl_strategies.benchmarks.samples import Samples, TensorSamples
from cl_strategies.benchmarks.split import split_stream
from cl_strategies.errors import UserError

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark

_TRAINING_SHARE = 0.7  # of the width of a photograph; test crops come from the rest
_LARGEST = 192  # what the narrower part allows


def photo_digits(
    *,
    n_experiences: int = 5,
    scenario: Scenario = "class",
    image_size: int = 64,
    stream_seed: int = 0,
    protocol: str = "scratch",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """scikit-learn's digits in colour on crops of its two photographs.

    A digit is 3/8 to 5/8 as high as the image. Training and test digits are disjoint, and
    so are the parts of the photographs that their backgrounds come from. Pixels are in
    ``[0, 1]``. The other options are those of :func:`split_stream`.

    :param image_size: height and width, 16 to 192; 64 or 128 in the reports.
    :param stream_seed: seed of places, sizes, colours and backgrounds.
    :raises UserError: for options out of range.
    """
    return _photo_stream(
        load_dataset("digits", data_root),
        name="photo-digits",
        image_size=image_size,
        stream_seed=stream_seed,
        n_experiences=n_experiences,
        scenario=scenario,
        protocol=protocol,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def photo_fashion_mnist(
    *,
    n_experiences: int = 5,
    scenario: Scenario = "class",
    image_size: int = 64,
    stream_seed: int = 0,
    protocol: str = "scratch",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """Fashion-MNIST pasted as :func:`photo_digits` pastes digits: 60,000 training images.

    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    return _photo_stream(
        load_dataset("fashion-mnist", data_root),
        name="photo-fashion-mnist",
        image_size=image_size,
        stream_seed=stream_seed,
        n_experiences=n_experiences,
        scenario=scenario,
        protocol=protocol,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def _photo_stream(
    data: LoadedDataset,
    *,
    name: str,
    image_size: int,
    stream_seed: int,
    n_experiences: int,
    scenario: Scenario,
    protocol: str,
    class_order: Order,
    order: Order,
    fraction: float,
    validation: float,
) -> StreamBenchmark:
    from torchvision.transforms import ToTensor

    check_integer("image_size", image_size, minimum=16, maximum=_LARGEST)
    check_seed("stream_seed", stream_seed)
    parts = zip((data.train, data.test), photograph_sides(), strict=True)
    sides = [
        _pasted(samples, photos, image_size, [stream_seed, side])
        for side, (samples, photos) in enumerate(parts)
    ]
    return split_stream(
        LoadedDataset(sides[0], sides[1], data.class_names),
        name=name,
        n_experiences=n_experiences,
        scenario=scenario,
        protocol=protocol,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
        transforms=(ToTensor(), ToTensor()),
    )


def _pasted(
    samples: Samples, photographs: Sequence[Pixels], size: int, seed: Sequence[int]
) -> PastedSamples:
    if not isinstance(samples, TensorSamples):
        raise UserError(f"cannot paste {type(samples).__name__}: give grey images in tensors")
    stamps = (samples.x[:, 0] * 255).round().byte().numpy()
    return PastedSamples(stamps, samples.labels, photographs, size=size, seed=seed)


def photograph_sides() -> tuple[list[Pixels], list[Pixels]]:
    """A Chinese temple and a flower, ``(427, W, 3)`` each: a part for training, the rest for
    testing."""
    from sklearn.datasets import load_sample_image

    sides: tuple[list[Pixels], list[Pixels]] = ([], [])
    for name in ("china", "flower"):
        photograph = np.asarray(load_sample_image(f"{name}.jpg"))
        cut = round(_TRAINING_SHARE * photograph.shape[1])
        sides[0].append(photograph[:, :cut])
        sides[1].append(photograph[:, cut:])
    return sides

"""Streams of objects on photographs: digits and Fashion-MNIST on scikit-learn's two pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Unpack

import numpy as np
from annotated_types import Ge, Le

from cl_strategies.benchmarks.core.options import (
    DataRoot,
    ImageSize,
    NExperiences,
    ProtocolOptions,
    Scenario,
    StreamSeed,
    TestFraction,
)
from cl_strategies.benchmarks.core.samples import Samples, SomeSamples, TensorSamples
from cl_strategies.benchmarks.core.selection import stratified_rows
from cl_strategies.benchmarks.datasets.pasting import PastedSamples, Pixels
from cl_strategies.benchmarks.datasets.published import LoadedDataset
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.split import split_stream
from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Default

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

_TRAINING_SHARE = 0.7  # of the width of a photograph; test crops come from the rest


class PastedOptions(ProtocolOptions, total=False):
    """The options of a split stream of images that are pasted on photographs.

    The narrower part of the photographs allows images of 192 pixels.
    """

    n_experiences: Annotated[NExperiences, Default(5)]
    scenario: Annotated[Scenario, Default("class")]
    image_size: Annotated[ImageSize, Ge(16), Le(192), Default(64)]
    stream_seed: Annotated[StreamSeed, Default(0)]
    test_fraction: Annotated[TestFraction, Default(1.0)]


@hyperparameters
def photo_digits(
    *, data_root: DataRoot = None, **options: Unpack[PastedOptions]
) -> StreamBenchmark:
    """Split scikit-learn's digits, in color on crops of its two photographs, by class.

    A digit is 3/8 to 5/8 as high as the image. Training and test digits are disjoint, and
    so are the parts of the photographs that their backgrounds come from. Pixels are in
    ``[0, 1]``. ``stream_seed`` is that of places, sizes, colors and backgrounds. Images in the
    reports are of 64 or 128 pixels.
    """
    return _photo_stream(load_dataset("digits", data_root), "photo-digits", options)


@hyperparameters
def photo_fashion_mnist(
    *, data_root: DataRoot = None, **options: Unpack[PastedOptions]
) -> StreamBenchmark:
    """Split Fashion-MNIST, pasted as :func:`photo_digits` pastes digits, by class.

    It has 60,000 training images.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _photo_stream(load_dataset("fashion-mnist", data_root), "photo-fashion-mnist", options)


def _photo_stream(data: LoadedDataset, name: str, options: PastedOptions) -> StreamBenchmark:
    from torchvision.transforms import ToTensor

    parts = zip((data.train, data.test), photograph_sides(), strict=True)
    sides = [
        _pasted(samples, photos, options["image_size"], [options["stream_seed"], side])
        for side, (samples, photos) in enumerate(parts)
    ]
    tested = stratified_rows(
        data.test.labels,
        range(len(data.class_names)),
        fraction=options["test_fraction"],
        validation=0.0,
        where=name,
    )[0]
    return split_stream(
        LoadedDataset(sides[0], SomeSamples(sides[1], tested), data.class_names),
        name=name,
        n_experiences=options["n_experiences"],
        scenario=options["scenario"],
        protocol=options["protocol"],
        class_order=options["class_order"],
        transforms=(ToTensor(), ToTensor()),
        order=options["order"],
        fraction=options["fraction"],
        validation=options["validation"],
    )


def _pasted(
    samples: Samples, photographs: Sequence[Pixels], size: int, seed: Sequence[int]
) -> PastedSamples:
    if not isinstance(samples, TensorSamples):
        raise UserError(f"cannot paste {type(samples).__name__}: give grey images in tensors")
    stamps = (samples.x[:, 0] * 255).round().byte().numpy()
    return PastedSamples(stamps, samples.labels, photographs, size=size, seed=seed)


def photograph_sides() -> tuple[list[Pixels], list[Pixels]]:
    """Return parts of a temple and a flower, ``(427, W, 3)`` each, for training and for testing."""
    from sklearn.datasets import load_sample_image

    sides: tuple[list[Pixels], list[Pixels]] = ([], [])
    for name in ("china", "flower"):
        photograph = np.asarray(load_sample_image(f"{name}.jpg"))
        cut = round(_TRAINING_SHARE * photograph.shape[1])
        sides[0].append(photograph[:, :cut])
        sides[1].append(photograph[:, cut:])
    return sides

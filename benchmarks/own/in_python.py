"""Streams of data that are there in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Unpack

import torch
from annotated_types import Ge
from torchvision.transforms.functional import pil_to_tensor
from typing_extensions import Doc

from cl_strategies.benchmarks.core.builder import FittedTransforms, Transforms
from cl_strategies.benchmarks.core.options import PermutedOptions, SameClassesScenario
from cl_strategies.benchmarks.core.samples import Samples, TensorSamples
from cl_strategies.benchmarks.own.cutting import (
    Sides,
    domain_labeled,
    loaded,
    split_labeled,
    stream_options,
)
from cl_strategies.benchmarks.own.forms import labeled, split_of
from cl_strategies.benchmarks.own.labeled import Labeled
from cl_strategies.benchmarks.own.options import (
    ColumnOptions,
    CutOptions,
    ImagesFolder,
    PictureOptions,
    TaskOptions,
    TestFraction,
)
from cl_strategies.benchmarks.own.pictures import PictureSamples
from cl_strategies.benchmarks.own.treatment import (
    check_picture_options,
    measured,
    picture_transforms,
)
from cl_strategies.benchmarks.streams.permuted import permuted_stream
from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Default

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

StreamName = Annotated[str, Doc("Name of the stream, which reports show.")]


class ReadingOptions(PictureOptions, ColumnOptions, total=False):
    """How data in Python are read."""

    images: Annotated[ImagesFolder, Default(None)]
    name: Annotated[StreamName, Default("own-data")]


class DatasetOptions(ReadingOptions, CutOptions, total=False):
    """The options of a stream of data in Python."""


class DomainsOptions(ReadingOptions, TaskOptions, total=False):
    """The options of a stream of several domains of data in Python."""

    scenario: Annotated[SameClassesScenario, Default("domain")]


class PermutationOptions(ReadingOptions, PermutedOptions, total=False):
    """The options of a stream of data in Python whose pixels are permuted."""

    scenario: Annotated[SameClassesScenario, Default("domain")]
    test_fraction: Annotated[TestFraction, Default(0.2)]
    n_experiences: Annotated[int, Ge(1), Doc("Number of tasks."), Default(10)]


@hyperparameters
def split_dataset(
    data: Any,
    test: Any = None,
    transforms: Transforms | None = None,
    **options: Unpack[DatasetOptions],
) -> StreamBenchmark:
    """Cut the classes of your own data into tasks.

    Labels are whole numbers or names. Images of bytes are treated as the options say; numbers, and
    what the data set's own transforms make, stay as they are.

    :param data: training data, or all data: a pair ``(x, y)`` of arrays or tensors (images
        ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``, or features ``(N, F)``); a data set of
        torch whose samples are ``(x, label)``; a data set, or ``DatasetDict``, of Hugging Face; a
        pandas DataFrame with a column of paths or images, one of labels, perhaps one called split.
    :param test: test data, likewise; ``None``: the data say which, or a share of them is for
        testing.
    :param transforms: of the groups ``train`` and ``eval``, instead of augmentation and
        normalization.
    :raises UserError: for data that hold no samples with labels, a label that no training sample
        has, fewer than two classes, and options out of range.
    """
    sides = _sides(data, test, options)
    how = transforms or _transforms(sides[0], options)
    return split_labeled(sides, options, name=options["name"], transforms=how)


@hyperparameters
def domains(
    data: Mapping[str, Any],
    test: Mapping[str, Any] | None = None,
    transforms: Transforms | None = None,
    **options: Unpack[DomainsOptions],
) -> StreamBenchmark:
    """Make one task per domain of your own data, with the same classes in each.

    :param data: the data of each domain, by its name, in the order of the tasks; each as for
        :func:`split_dataset`.
    :param test: test data of each domain, likewise; ``None``: see :func:`split_dataset`.
    :param transforms: see :func:`split_dataset`.
    :raises UserError: if a domain lacks a class or test data, and as :func:`split_dataset`.
    """
    if not isinstance(data, Mapping) or not data:
        raise UserError('domains takes a mapping: give {"name of a domain": its data, ...}')
    if test is not None and set(test) != set(data):
        raise UserError(
            f"test has the domains {sorted(test)}, and data has {sorted(data)}: give both the same"
        )
    found = {
        domain: _sides(one, test and test[domain], options, f"domain {domain!r}")
        for domain, one in data.items()
    }
    how = transforms or _transforms(next(iter(found.values()))[0], options)
    return domain_labeled(
        found, options, name=options["name"], scenario=options["scenario"], transforms=how
    )


@hyperparameters
def permute_dataset(
    data: Any, test: Any = None, **options: Unpack[PermutationOptions]
) -> StreamBenchmark:
    """Make tasks of your own data that differ in the order of the pixels.

    :param data: as for :func:`split_dataset`.
    :param test: as for :func:`split_dataset`.
    :raises UserError: as :func:`split_dataset`; for random augmentation, which does not go with
        permuted pixels.
    """
    if options["augmentation"] != "none":
        raise UserError("augmentation changes places of pixels, which are permuted: leave it out")
    sides = _sides(data, test, options)
    divided = loaded(sides, options["test_fraction"])
    numbers = _normalization(divided.train, options)
    return permuted_stream(
        replace(
            divided,
            train=_in_memory(divided.train, numbers),
            test=_in_memory(divided.test, numbers),
        ),
        name=options["name"],
        n_experiences=options["n_experiences"],
        scenario=options["scenario"],
        stream_seed=options["stream_seed"],
        identity_first=options["identity_first"],
        **stream_options(options),
    )


def _sides(data: Any, test: Any, options: ReadingOptions, what: str = "the data") -> Sides:
    check_picture_options(options)
    data, test = split_of(data, test)
    train = labeled(data, options, options, options["images"], what)
    if test is None:
        return train.divided()
    if train.sides is not None:
        raise UserError(
            f"{what} says itself which samples are for testing, and test data are given: leave one "
            "of them out"
        )
    return train, labeled(test, options, options, options["images"], f"the test data of {what}")


def _transforms(train: Labeled, options: ReadingOptions) -> FittedTransforms | None:
    return picture_transforms(options) if train.are_pictures else None


def _normalization(train: Samples, options: ReadingOptions) -> tuple[Any, Any]:
    """Return mean and deviation, each ``(C, 1, 1)``; 0 and 1 for none."""
    if not isinstance(train, PictureSamples) or not options["normalize"]:
        return 0.0, 1.0
    mean, std = options["mean"], options["std"]
    if mean is None or std is None:
        mean, std = measured(train, torch.arange(len(train.labels)).numpy())
    return torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)


def _in_memory(samples: Samples, numbers: tuple[Any, Any]) -> TensorSamples:
    if isinstance(samples, TensorSamples):
        return samples
    count = range(len(samples.labels))
    if isinstance(samples, PictureSamples):
        rows = samples.rows
        images = torch.stack([pil_to_tensor(samples.pictures.image(int(rows[k]))) for k in count])
        x = (images.float() / 255 - numbers[0]) / numbers[1]
    else:
        everything = samples.dataset(torch.arange(len(samples.labels)).numpy(), samples.labels)
        x = torch.stack([everything[k][0] for k in count]).float()
    return TensorSamples(x, samples.labels)

"""Permuted streams: the same classes in every task, the pixels in another order in each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Unpack

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.core.options import (
    DataRoot,
    IdentityFirst,
    ImageSize,
    NExperiences,
    PermutedOptions,
    SameClassesScenario,
    StreamOptions,
    StreamSeed,
    TestFraction,
)
from cl_strategies.benchmarks.core.samples import TensorSamples
from cl_strategies.benchmarks.core.selection import stratified_rows
from cl_strategies.benchmarks.datasets.published import LoadedDataset
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark


@hyperparameters
def permuted_digits(
    *,
    n_experiences: NExperiences = 10,
    scenario: SameClassesScenario = "domain",
    image_size: Annotated[ImageSize, Ge(8)] = 8,
    data_root: DataRoot = None,
    **options: Unpack[PermutedOptions],
) -> StreamBenchmark:
    """Permute the pixels of scikit-learn's 8x8 digits in every task.

    Larger images are enlarged bilinearly before their pixels are permuted: 8x8 pixels give a
    network few ways to tell tasks apart.
    """
    return permuted_stream(
        _enlarged(load_dataset("digits", data_root), image_size),
        name="permuted-digits",
        n_experiences=n_experiences,
        scenario=scenario,
        **options,
    )


@hyperparameters
def permuted_fashion_mnist(
    *,
    n_experiences: NExperiences = 10,
    scenario: SameClassesScenario = "domain",
    test_fraction: TestFraction = 1.0,
    data_root: DataRoot = None,
    **options: Unpack[PermutedOptions],
) -> StreamBenchmark:
    """Permute the pixels of Fashion-MNIST in every task.

    :raises DataMissingError: if the data are not on this machine.
    """
    return permuted_stream(
        with_fewer_tests(load_dataset("fashion-mnist", data_root), test_fraction),
        name="permuted-fashion-mnist",
        n_experiences=n_experiences,
        scenario=scenario,
        **options,
    )


@hyperparameters
def permuted_stream(
    data: LoadedDataset,
    *,
    name: str,
    n_experiences: NExperiences,
    scenario: SameClassesScenario = "domain",
    stream_seed: StreamSeed = 0,
    identity_first: IdentityFirst = True,
    **options: Unpack[StreamOptions],
) -> StreamBenchmark:
    """Make one task per permutation of the pixels, the same for training and test images.

    All tasks share the images in memory and permute them when they are read. The first tasks of a
    longer stream are those of a shorter one.

    :param data: a data set of tensors.
    :param name: name of the stream.
    :raises UserError: for options out of range.
    """
    generator = np.random.RandomState(stream_seed)
    train, test = tensors(data.train, name), tensors(data.test, name)
    size = train.x[0].numel()
    permutations = [generator.permutation(size) for _ in range(n_experiences)]
    if identity_first:
        permutations = [np.arange(size), *permutations[:-1]]
    transforms = [PixelPermutation(pixels) for pixels in permutations]
    return build_benchmark(
        [TensorSamples(train.x, train.labels, transform) for transform in transforms],
        [TensorSamples(test.x, test.labels, transform) for transform in transforms],
        name=name,
        scenario=scenario,
        classes=[range(len(data.class_names))] * n_experiences,
        class_names=data.class_names,
        **options,
    )


def with_fewer_tests(data: LoadedDataset, share: float) -> LoadedDataset:
    """Keep ``share`` of the test samples of each class of a data set of tensors."""
    if share == 1.0:
        return data
    test = tensors(data.test, "the test samples")
    classes = range(len(data.class_names))
    kept, _ = stratified_rows(
        test.labels, classes, fraction=share, validation=0.0, where="the test samples"
    )
    return replace(data, test=TensorSamples(test.x[kept], test.labels[kept]))


def _enlarged(data: LoadedDataset, size: int) -> LoadedDataset:
    def enlarge(samples: object) -> TensorSamples:
        small = tensors(samples, "permuted-digits")
        x = torch.nn.functional.interpolate(small.x, size=(size, size), mode="bilinear")
        return TensorSamples(x, small.labels)

    return replace(data, train=enlarge(data.train), test=enlarge(data.test))


def tensors(samples: object, name: str) -> TensorSamples:
    """Return ``samples``, if they are tensors.

    :param samples: the samples of one side of a data set.
    :param name: name of the stream, for the message.
    :raises UserError: otherwise.
    """
    if not isinstance(samples, TensorSamples):
        raise UserError(f"{name}: its images are no tensors: give a data set of tensors")
    return samples


class PixelPermutation:
    """Put pixel ``order[i]`` of every image in place ``i``."""

    def __init__(self, order: np.ndarray) -> None:
        self.order = torch.from_numpy(order.astype(np.int64))

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, self.order].view_as(x)

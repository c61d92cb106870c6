"""Permuted streams: the same classes in every task, the pixels in another order in each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cl_strategies.benchmarks import choices
from cl_strategies.benchmarks.builder import build_benchmark
from cl_strategies.benchmarks.choices import Order, Scenario
from cl_strategies.benchmarks.loaders import LoadedDataset, load_dataset
from cl_strategies.benchmarks.samples import TensorSamples
from cl_strategies.errors import UserError

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark


def permuted_digits(
    *,
    n_experiences: int = 10,
    scenario: Scenario = "domain",
    stream_seed: int = 0,
    identity_first: bool = True,
    image_size: int = 8,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """scikit-learn's 8x8 digits, permuted; see :func:`permuted_stream` for the other options.

    :param image_size: side of the images in pixels; above 8 they are enlarged (bilinearly) before
        their pixels are permuted. 64 pixels give a network few ways to tell tasks apart.
    """
    choices.check_integer("image_size", image_size, minimum=8)
    return permuted_stream(
        _enlarged(load_dataset("digits", data_root), image_size),
        name="permuted-digits",
        n_experiences=n_experiences,
        scenario=scenario,
        stream_seed=stream_seed,
        identity_first=identity_first,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def permuted_fashion_mnist(
    *,
    n_experiences: int = 10,
    scenario: Scenario = "domain",
    stream_seed: int = 0,
    identity_first: bool = True,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """Fashion-MNIST, permuted; see :func:`permuted_stream` for the options.

    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    return permuted_stream(
        load_dataset("fashion-mnist", data_root),
        name="permuted-fashion-mnist",
        n_experiences=n_experiences,
        scenario=scenario,
        stream_seed=stream_seed,
        identity_first=identity_first,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def permuted_stream(
    data: LoadedDataset,
    *,
    name: str,
    n_experiences: int,
    scenario: Scenario = "domain",
    stream_seed: int = 0,
    identity_first: bool = True,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
) -> StreamBenchmark:
    """One task per permutation of the pixels, the same for training and test images.

    All tasks share the images in memory and permute them when they are read.

    :param data: a data set of tensors.
    :param n_experiences: number of tasks. The first tasks of a longer stream are those of a
        shorter one.
    :param scenario: ``"domain"`` (one head) or ``"task"`` (a head per task).
    :param stream_seed: seed of the permutations.
    :param identity_first: leave the images of task 0 as they are.
    :param order: order of the tasks: ``None`` (natural), a seed, or a permutation.
    :param fraction: share of each class's training samples to keep.
    :param validation: share of the kept training samples that replaces the test stream.
    :raises UserError: for options out of range.
    """
    choices.check_integer("n_experiences", n_experiences, minimum=1)
    choices.check_scenario(scenario, ("domain", "task"))
    generator = np.random.RandomState(choices.check_seed("stream_seed", stream_seed))
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
        order=order,
        fraction=fraction,
        validation=validation,
        class_names=data.class_names,
    )


def _enlarged(data: LoadedDataset, size: int) -> LoadedDataset:
    def enlarge(samples: object) -> TensorSamples:
        small = tensors(samples, "permuted-digits")
        x = torch.nn.functional.interpolate(small.x, size=(size, size), mode="bilinear")
        return TensorSamples(x, small.labels)

    return replace(data, train=enlarge(data.train), test=enlarge(data.test))


def tensors(samples: object, name: str) -> TensorSamples:
    """``samples``, if they are tensors.

    :raises UserError: otherwise.
    """
    if not isinstance(samples, TensorSamples):
        raise UserError(f"{name}: its images are no tensors: give a data set of tensors")
    return samples


class PixelPermutation:
    """Puts pixel ``order[i]`` of every image in place ``i``."""

    def __init__(self, order: np.ndarray) -> None:
        self.order = torch.from_numpy(order.astype(np.int64))

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, self.order].view_as(x)

"""Avalanche's classic streams, mended.

They are the streams of ``avalanche.benchmarks.classic`` as far as data, preprocessing and classes
go (the tests compare them sample by sample), but every one of them keeps the stream contract,
drops no class, never downloads by itself and leaves the global random generators alone.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from cl_strategies.benchmarks.builder import build_benchmark
from cl_strategies.benchmarks.choices import (
    Order,
    Scenario,
    check_integer,
    partition,
    permutation,
)
from cl_strategies.benchmarks.loaders import LoadedDataset, load_dataset
from cl_strategies.benchmarks.permuted import permuted_stream, tensors
from cl_strategies.benchmarks.samples import TensorSamples
from cl_strategies.benchmarks.split import split_stream

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark

# Mean and deviation of the pixels of Tiny ImageNet; Avalanche uses those of CIFAR-10.
_TINY_IMAGENET_MEAN = (0.4802, 0.4481, 0.3975)
_TINY_IMAGENET_STD = (0.2770, 0.2691, 0.2821)


def split_mnist(
    *,
    n_experiences: int = 5,
    scenario: Scenario = "class",
    class_order: Order = None,
    normalize: bool = True,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """MNIST, split by class; see :func:`split_stream` for the options.

    :param normalize: subtract the mean and divide by the deviation, as Avalanche's stream does;
        otherwise pixels are in ``[0, 1]``.
    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    return split_stream(
        _mnist(data_root, normalize),
        name="split-mnist",
        n_experiences=n_experiences,
        scenario=scenario,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def permuted_mnist(
    *,
    n_experiences: int = 10,
    scenario: Scenario = "domain",
    stream_seed: int = 0,
    identity_first: bool = True,
    normalize: bool = True,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """MNIST, permuted; see :func:`permuted_stream` for the options.

    With ``identity_first=False`` the permutations are those of Avalanche's stream with
    ``seed=stream_seed``.

    :param normalize: as in :func:`split_mnist`.
    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    return permuted_stream(
        _mnist(data_root, normalize),
        name="permuted-mnist",
        n_experiences=n_experiences,
        scenario=scenario,
        stream_seed=stream_seed,
        identity_first=identity_first,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def split_cifar10(
    *,
    n_experiences: int = 5,
    scenario: Scenario = "class",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """CIFAR-10, split by class, with Avalanche's crops and flips; see :func:`split_stream`.

    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    return split_stream(
        load_dataset("cifar10", data_root),
        name="split-cifar10",
        n_experiences=n_experiences,
        scenario=scenario,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
        transforms=_avalanche_transforms("SplitCIFAR10"),
    )


def split_cifar100(
    *,
    n_experiences: int = 10,
    scenario: Scenario = "class",
    protocol: str = "scratch",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """CIFAR-100, split by class, with Avalanche's crops and flips; see :func:`split_stream`.

    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    return split_stream(
        load_dataset("cifar100", data_root),
        name="split-cifar100",
        n_experiences=n_experiences,
        scenario=scenario,
        protocol=protocol,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
        transforms=_avalanche_transforms("SplitCIFAR100"),
    )


def split_cifar10_100(
    *,
    n_experiences: int = 11,
    scenario: Scenario = "class",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """CIFAR-10 as one task, then CIFAR-100 split by class (Avalanche's ``SplitCIFAR110``).

    Class ids 0-9 are those of CIFAR-10; class ``c`` of CIFAR-100 is class ``10 + c``. The other
    options are those of :func:`split_stream`.

    :param n_experiences: number of tasks, at least 2.
    :param class_order: order of CIFAR-100's classes 0-99: ``None`` (natural), a seed, or a
        permutation.
    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range.
    """
    first, second = load_dataset("cifar10", data_root), load_dataset("cifar100", data_root)
    size = len(first.class_names)
    check_integer("n_experiences", n_experiences, minimum=2)
    later = permutation("class_order", class_order, len(second.class_names))
    shifted = [size + label for label in later]
    shift = [_Shifted(part, size) for part in (second.train, second.test)]
    tasks = [tuple(range(size)), *partition(shifted, n_experiences - 1)]
    return build_benchmark(
        [first.train] + [shift[0]] * (n_experiences - 1),
        [first.test] + [shift[1]] * (n_experiences - 1),
        name="split-cifar10-100",
        scenario=scenario,
        classes=tasks,
        order=order,
        fraction=fraction,
        validation=validation,
        transforms=_avalanche_transforms("SplitCIFAR110"),
        class_order=[*range(size), *shifted],
        class_names=first.class_names + second.class_names,
    )


def split_tiny_imagenet(
    *,
    n_experiences: int = 10,
    scenario: Scenario = "class",
    protocol: str = "scratch",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """Tiny ImageNet, split by class, with random flips; see :func:`split_stream`.

    The test stream is the data set's validation part. Images are normalised with the data set's
    own mean and deviation.

    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    from torchvision import transforms

    last = [
        transforms.ToTensor(),
        transforms.Normalize(_TINY_IMAGENET_MEAN, _TINY_IMAGENET_STD),
    ]
    return split_stream(
        load_dataset("tiny-imagenet", data_root),
        name="split-tiny-imagenet",
        n_experiences=n_experiences,
        scenario=scenario,
        protocol=protocol,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
        transforms=(
            transforms.Compose([transforms.RandomHorizontalFlip(), *last]),
            transforms.Compose(last),
        ),
    )


class _Shifted:
    """The samples of ``source`` with larger class ids."""

    def __init__(self, source: Any, by: int) -> None:
        self.source = source
        self.labels = source.labels + by

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> Any:
        return self.source.dataset(rows, labels)


def _mnist(data_root: str | None, normalize: bool) -> LoadedDataset:
    data = load_dataset("mnist", data_root)
    if not normalize:
        return data
    transform, _ = _avalanche_transforms("SplitMNIST")
    train, test = tensors(data.train, "mnist"), tensors(data.test, "mnist")
    return LoadedDataset(
        TensorSamples(transform(train.x), train.labels),
        TensorSamples(transform(test.x), test.labels),
        data.class_names,
    )


def _avalanche_transforms(factory: str) -> tuple[Any, Any]:
    """The transforms for training and evaluation that are the defaults of Avalanche's stream."""
    from avalanche.benchmarks import classic

    parameters = inspect.signature(getattr(classic, factory)).parameters
    return parameters["train_transform"].default, parameters["eval_transform"].default

"""Avalanche's classic streams under the stream contract.

Data, preprocessing and classes are those of ``avalanche.benchmarks.classic``; the tests compare
them sample by sample. Unlike these, every stream keeps the stream contract, drops no class, never
downloads by itself and leaves the global random generators alone.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any, Unpack

from annotated_types import Ge
from typing_extensions import Doc

from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.core.options import (
    ClassOrder,
    DataRoot,
    NExperiences,
    PermutedOptions,
    ProtocolOptions,
    SameClassesScenario,
    Scenario,
    SplitOptions,
    StreamOptions,
    TestFraction,
)
from cl_strategies.benchmarks.core.samples import ShiftedSamples, TensorSamples
from cl_strategies.benchmarks.core.selection import partition, permutation
from cl_strategies.benchmarks.datasets.published import LoadedDataset
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.permuted import permuted_stream, tensors, with_fewer_tests
from cl_strategies.benchmarks.streams.split import split_stream
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

Normalize = Annotated[
    bool,
    Doc(
        "Subtract the mean and divide by the deviation, as Avalanche does; otherwise pixels are in "
        "``[0, 1]``."
    ),
]

# Mean and deviation of the pixels of Tiny ImageNet; Avalanche uses those of CIFAR-10.
_TINY_IMAGENET_MEAN = (0.4802, 0.4481, 0.3975)
_TINY_IMAGENET_STD = (0.2770, 0.2691, 0.2821)


@hyperparameters
def split_mnist(
    *,
    n_experiences: NExperiences = 5,
    scenario: Scenario = "class",
    normalize: Normalize = True,
    data_root: DataRoot = None,
    **options: Unpack[SplitOptions],
) -> StreamBenchmark:
    """Split MNIST by class.

    :raises DataMissingError: if the data are not on this machine.
    """
    return split_stream(
        _mnist(data_root, normalize),
        name="split-mnist",
        n_experiences=n_experiences,
        scenario=scenario,
        **options,
    )


@hyperparameters
def permuted_mnist(
    *,
    n_experiences: NExperiences = 10,
    scenario: SameClassesScenario = "domain",
    normalize: Normalize = True,
    test_fraction: TestFraction = 1.0,
    data_root: DataRoot = None,
    **options: Unpack[PermutedOptions],
) -> StreamBenchmark:
    """Permute the pixels of MNIST in every task.

    With ``identity_first=False`` the permutations are those of Avalanche's stream with
    ``seed=stream_seed``.

    :raises DataMissingError: if the data are not on this machine.
    """
    return permuted_stream(
        with_fewer_tests(_mnist(data_root, normalize), test_fraction),
        name="permuted-mnist",
        n_experiences=n_experiences,
        scenario=scenario,
        **options,
    )


@hyperparameters
def split_cifar10(
    *,
    n_experiences: NExperiences = 5,
    scenario: Scenario = "class",
    data_root: DataRoot = None,
    **options: Unpack[SplitOptions],
) -> StreamBenchmark:
    """Split CIFAR-10 by class, with Avalanche's crops and flips.

    :raises DataMissingError: if the data are not on this machine.
    """
    return split_stream(
        load_dataset("cifar10", data_root),
        name="split-cifar10",
        n_experiences=n_experiences,
        scenario=scenario,
        transforms=_avalanche_transforms("SplitCIFAR10"),
        **options,
    )


@hyperparameters
def split_cifar100(
    *,
    n_experiences: NExperiences = 10,
    scenario: Scenario = "class",
    data_root: DataRoot = None,
    **options: Unpack[ProtocolOptions],
) -> StreamBenchmark:
    """Split CIFAR-100 by class, with Avalanche's crops and flips.

    :raises DataMissingError: if the data are not on this machine.
    """
    return split_stream(
        load_dataset("cifar100", data_root),
        name="split-cifar100",
        n_experiences=n_experiences,
        scenario=scenario,
        transforms=_avalanche_transforms("SplitCIFAR100"),
        **options,
    )


@hyperparameters
def split_cifar10_100(
    *,
    n_experiences: Annotated[int, Ge(2), Doc("Number of tasks.")] = 11,
    scenario: Scenario = "class",
    class_order: ClassOrder = None,
    data_root: DataRoot = None,
    **options: Unpack[StreamOptions],
) -> StreamBenchmark:
    """Take CIFAR-10 as one task, then split CIFAR-100 by class (Avalanche's ``SplitCIFAR110``).

    Class ids 0-9 are those of CIFAR-10; class ``c`` of CIFAR-100 is class ``10 + c``.
    ``class_order`` is that of the 100 classes of CIFAR-100.

    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range.
    """
    first, second = load_dataset("cifar10", data_root), load_dataset("cifar100", data_root)
    size = len(first.class_names)
    later = permutation("class_order", class_order, len(second.class_names))
    shifted = [size + label for label in later]
    shift = [ShiftedSamples(part, size) for part in (second.train, second.test)]
    tasks = [tuple(range(size)), *partition(shifted, n_experiences - 1)]
    return build_benchmark(
        [first.train] + [shift[0]] * (n_experiences - 1),
        [first.test] + [shift[1]] * (n_experiences - 1),
        name="split-cifar10-100",
        scenario=scenario,
        classes=tasks,
        transforms=_avalanche_transforms("SplitCIFAR110"),
        class_order=[*range(size), *shifted],
        class_names=first.class_names + second.class_names,
        **options,
    )


@hyperparameters
def split_tiny_imagenet(
    *,
    n_experiences: NExperiences = 10,
    scenario: Scenario = "class",
    data_root: DataRoot = None,
    **options: Unpack[ProtocolOptions],
) -> StreamBenchmark:
    """Split Tiny ImageNet by class, with random flips.

    The test stream is the data set's validation part. Images are normalized with the data set's
    own mean and deviation.

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
        transforms=(
            transforms.Compose([transforms.RandomHorizontalFlip(), *last]),
            transforms.Compose(last),
        ),
        **options,
    )


def _mnist(data_root: DataRoot, normalize: bool) -> LoadedDataset:
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
    """Return the transforms for training and evaluation that are the defaults of Avalanche's
    stream."""
    from avalanche.benchmarks import classic

    parameters = inspect.signature(getattr(classic, factory)).parameters
    return parameters["train_transform"].default, parameters["eval_transform"].default

"""Split streams: the classes of one data set, cut into tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from cl_strategies.benchmarks.core.builder import FittedTransforms, Transforms, build_benchmark
from cl_strategies.benchmarks.core.options import (
    ClassOrder,
    DataRoot,
    NExperiences,
    Scenario,
    SplitOptions,
    SplitProtocol,
    StreamOptions,
)
from cl_strategies.benchmarks.core.protocols import classes_of_tasks
from cl_strategies.benchmarks.core.selection import permutation
from cl_strategies.benchmarks.datasets.published import LoadedDataset
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark


@hyperparameters
def split_digits(
    *,
    n_experiences: NExperiences = 5,
    scenario: Scenario = "class",
    data_root: DataRoot = None,
    **options: Unpack[SplitOptions],
) -> StreamBenchmark:
    """Split the 8x8 digits of scikit-learn by class."""
    return split_stream(
        load_dataset("digits", data_root),
        name="split-digits",
        n_experiences=n_experiences,
        scenario=scenario,
        **options,
    )


@hyperparameters
def split_fashion_mnist(
    *,
    n_experiences: NExperiences = 5,
    scenario: Scenario = "class",
    data_root: DataRoot = None,
    **options: Unpack[SplitOptions],
) -> StreamBenchmark:
    """Split Fashion-MNIST by class.

    :raises DataMissingError: if the data are not on this machine.
    """
    return split_stream(
        load_dataset("fashion-mnist", data_root),
        name="split-fashion-mnist",
        n_experiences=n_experiences,
        scenario=scenario,
        **options,
    )


@hyperparameters
def split_stream(
    data: LoadedDataset,
    *,
    name: str,
    n_experiences: NExperiences,
    scenario: Scenario = "class",
    protocol: SplitProtocol = "scratch",
    class_order: ClassOrder = None,
    transforms: Transforms | FittedTransforms | None = None,
    **options: Unpack[StreamOptions],
) -> StreamBenchmark:
    """Cut the classes of a data set into tasks.

    No class is dropped: if the classes cannot be divided evenly, the first tasks have one more (10
    classes in 3 tasks: 4, 3, 3).

    :param data: the data set.
    :param name: name of the stream.
    :param transforms: as for :func:`~cl_strategies.benchmarks.core.builder.build_benchmark`.
    :raises UserError: for options out of range.
    """
    classes = permutation("class_order", class_order, len(data.class_names))
    return stream_of_tasks(
        data,
        classes_of_tasks(classes, n_experiences, protocol),
        name=name,
        scenario=scenario,
        class_order=classes,
        transforms=transforms,
        **options,
    )


def stream_of_tasks(
    data: LoadedDataset,
    tasks: Sequence[Sequence[int]],
    *,
    name: str,
    scenario: Scenario,
    class_order: Sequence[int],
    transforms: Transforms | FittedTransforms | None,
    **options: Unpack[StreamOptions],
) -> StreamBenchmark:
    """Make a stream of the classes that each task has.

    :param data: the data set that all tasks are cut from.
    :param tasks: class ids of each task.
    :param name: name of the stream.
    :param class_order: class ids in the order in which they were cut into tasks.
    :param transforms: as for :func:`~cl_strategies.benchmarks.core.builder.build_benchmark`.
    """
    return build_benchmark(
        [data.train] * len(tasks),
        [data.test] * len(tasks),
        name=name,
        scenario=scenario,
        classes=tasks,
        transforms=transforms,
        class_order=class_order,
        class_names=data.class_names,
        **options,
    )

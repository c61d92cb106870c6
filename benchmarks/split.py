"""Split streams: the classes of one data set, cut into tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cl_strategies.benchmarks.builder import Transforms, build_benchmark
from cl_strategies.benchmarks.choices import Order, Scenario, permutation
from cl_strategies.benchmarks.loaders import LoadedDataset, load_dataset
from cl_strategies.benchmarks.protocols import phases

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark


def split_digits(
    *,
    n_experiences: int = 5,
    scenario: Scenario = "class",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """scikit-learn's 8x8 digits, split by class; see :func:`split_stream` for the options."""
    return split_stream(
        load_dataset("digits", data_root),
        name="split-digits",
        n_experiences=n_experiences,
        scenario=scenario,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def split_fashion_mnist(
    *,
    n_experiences: int = 5,
    scenario: Scenario = "class",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """Fashion-MNIST, split by class; see :func:`split_stream` for the options.

    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    return split_stream(
        load_dataset("fashion-mnist", data_root),
        name="split-fashion-mnist",
        n_experiences=n_experiences,
        scenario=scenario,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def split_stream(
    data: LoadedDataset,
    *,
    name: str,
    n_experiences: int,
    scenario: Scenario = "class",
    protocol: str = "scratch",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    transforms: Transforms | None = None,
) -> StreamBenchmark:
    """Cut the classes of ``data`` into tasks.

    :param n_experiences: number of tasks. No class is dropped: if the classes cannot be divided
        evenly, the first tasks have one more (10 classes in 3 tasks: 4, 3, 3).
    :param scenario: ``"class"``: the data set's class ids, one head; ``"task"``: ids from zero in
        each task, a head per task; ``"domain"``: ids from zero in each task, one head.
    :param protocol: ``"scratch"``: as above; ``"half"``: half of the classes first, then
        ``n_experiences`` more tasks.
    :param class_order: order in which classes are cut into tasks: ``None`` (natural), a seed, or
        a permutation.
    :param order: order of the tasks: ``None`` (natural), a seed, or a permutation.
    :param fraction: share of each class's training samples to keep.
    :param validation: share of the kept training samples that replaces the test stream.
    :param transforms: transforms of the groups ``train`` and ``eval``, or a mapping of groups.
    :raises UserError: for options out of range.
    """
    classes = permutation("class_order", class_order, len(data.class_names))
    tasks = phases(classes, n_experiences, protocol)
    return build_benchmark(
        [data.train] * len(tasks),
        [data.test] * len(tasks),
        name=name,
        scenario=scenario,
        classes=tasks,
        order=order,
        fraction=fraction,
        validation=validation,
        transforms=transforms,
        class_order=classes,
        class_names=data.class_names,
    )

"""Streams whose tasks share classes with the tasks before, as LifeQuant makes them (Chen, Yang,
Chen, "Overcoming Forgetting Catastrophe in Quantization-Aware Training", ICCV 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cl_strategies.benchmarks.builder import build_benchmark
from cl_strategies.benchmarks.choices import (
    Order,
    Scenario,
    check_integer,
    check_scenario,
    permutation,
)
from cl_strategies.benchmarks.loaders import LoadedDataset, load_dataset
from cl_strategies.errors import UserError

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark

PAPERS_ORDER = 123
"""Seed of the order of classes in the authors' generator."""
_CIFAR100 = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def overlapping_classes(
    classes: Sequence[int], n_experiences: int, gamma: float
) -> list[tuple[int, ...]]:
    """Windows over ``classes``: each drops a share of its classes and takes up as many new ones.

    With ``C`` classes and ``T`` tasks a window has ``m = floor(C / (1 + gamma (T - 1)))`` classes
    and moves by ``floor(m gamma)``; the last task takes all that are left. Nothing is rounded on
    the way.

    :param classes: in the order in which they come.
    :param n_experiences: number of tasks.
    :param gamma: share of a task's classes that leave at a switch: 0: none; 1: all.
    :returns: the classes of each task, in the order of ``classes``.
    :raises UserError: for another gamma, or where a task would have no class or bring no new one.

    >>> [len(task) for task in overlapping_classes(range(100), 3, 0.25)]
    [66, 66, 68]
    >>> overlapping_classes(range(6), 3, 0.5)
    [(0, 1, 2), (1, 2, 3), (2, 3, 4, 5)]
    """
    check_integer("n_experiences", n_experiences, minimum=1)
    number = isinstance(gamma, int | float) and not isinstance(gamma, bool)
    if not number or not 0 <= gamma <= 1:
        raise UserError(
            f"gamma is {gamma!r}: give the share of classes that leave at a switch, from 0 to 1"
        )
    exact = Fraction(gamma).limit_denominator(10**6)  # what was meant by 0.29, or by 1/3
    size = int(len(classes) / (1 + exact * (n_experiences - 1)))
    step = int(size * exact)
    if not size or (gamma and n_experiences > 1 and not step):
        raise UserError(
            f"{n_experiences} tasks at gamma {gamma:g} have {size} of the {len(classes)} classes "
            f"and move by {step}: give fewer tasks, or another gamma"
        )
    starts = [task * step for task in range(n_experiences)]
    ends = [start + size for start in starts[:-1]] + [len(classes)]
    return [tuple(classes[start:end]) for start, end in zip(starts, ends, strict=True)]


def overlapping_stream(
    data: LoadedDataset,
    *,
    name: str,
    n_experiences: int,
    gamma: float,
    scenario: Scenario = "class",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    transforms: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None = None,
) -> StreamBenchmark:
    """Cut the classes of ``data`` into tasks that overlap.

    All images of a class appear in every task that has the class. A replay memory therefore may
    hold an image twice, under different ``sample_ids``.

    :param n_experiences: number of tasks.
    :param gamma: share of a task's classes that leave at a switch, see :func:`overlapping_classes`.
    :param scenario: ``"class"``: the data set's class ids, one head; ``"task"``: a head per task.
    :param class_order: order in which classes come: ``None``: the authors' (the permutation of
        seed 123); a seed; or a permutation.
    :param order: order of the tasks: ``None`` (natural), a seed, or a permutation.
    :param fraction: share of each class's training samples to keep.
    :param validation: share of the kept training samples that replaces the test stream.
    :param transforms: transforms of the groups ``train`` and ``eval``.
    :raises UserError: for options out of range.
    """
    check_scenario(scenario, ("class", "task"))
    given = PAPERS_ORDER if class_order is None else class_order
    classes = permutation("class_order", given, len(data.class_names))
    tasks = overlapping_classes(classes, n_experiences, gamma)
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


def overlapping_digits(
    *,
    n_experiences: int = 3,
    gamma: float = 0.5,
    scenario: Scenario = "class",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """scikit-learn's 8x8 digits; see :func:`overlapping_stream` for the options."""
    return overlapping_stream(
        load_dataset("digits", data_root),
        name="overlapping-digits",
        n_experiences=n_experiences,
        gamma=gamma,
        scenario=scenario,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def overlapping_fashion_mnist(
    *,
    n_experiences: int = 3,
    gamma: float = 0.5,
    scenario: Scenario = "class",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """Fashion-MNIST; see :func:`overlapping_stream` for the options.

    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    return overlapping_stream(
        load_dataset("fashion-mnist", data_root),
        name="overlapping-fashion-mnist",
        n_experiences=n_experiences,
        gamma=gamma,
        scenario=scenario,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def overlapping_cifar100(
    *,
    n_experiences: int = 3,
    gamma: float = 0.25,
    scenario: Scenario = "class",
    class_order: Order = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """CIFAR-100 with the crops, flips and normalisation of AlignQ and LifeQuant; see
    :func:`overlapping_stream` for the options.

    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    """
    from torchvision import transforms as tv

    last = [tv.ToTensor(), tv.Normalize(*_CIFAR100)]
    return overlapping_stream(
        load_dataset("cifar100", data_root),
        name="overlapping-cifar100",
        n_experiences=n_experiences,
        gamma=gamma,
        scenario=scenario,
        class_order=class_order,
        order=order,
        fraction=fraction,
        validation=validation,
        transforms=(
            tv.Compose([tv.RandomCrop(32, padding=4), tv.RandomHorizontalFlip(), *last]),
            tv.Compose(last),
        ),
    )

"""Streams whose tasks share classes with the tasks before, as LifeQuant makes them (Chen, Yang,
Chen, "Overcoming Forgetting Catastrophe in Quantization-Aware Training", ICCV 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Unpack

from annotated_types import Ge, Le
from typing_extensions import Doc

from cl_strategies.benchmarks.core.options import (
    ClassOrder,
    DataRoot,
    NExperiences,
    OverlappingScenario,
    SplitOptions,
    StreamOptions,
)
from cl_strategies.benchmarks.core.selection import permutation
from cl_strategies.benchmarks.datasets.published import LoadedDataset
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.split import stream_of_tasks
from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

PAPERS_ORDER = 123
"""Seed of the order of classes in the authors' generator."""
Gamma = Annotated[
    float,
    Ge(0),
    Le(1),
    Doc("Share of the classes of a task that leave at a switch: 0 for none, 1 for all."),
]

_CIFAR100 = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


@hyperparameters
def overlapping_classes(
    classes: Sequence[int], *, n_experiences: NExperiences, gamma: Gamma
) -> list[tuple[int, ...]]:
    """Cut windows out of ``classes``: each drops a share of the last and takes up as many new ones.

    With ``C`` classes and ``T`` tasks a window has ``m = floor(C / (1 + gamma (T - 1)))`` classes
    and moves by ``floor(m gamma)``; the last task takes all that are left. Nothing is rounded on
    the way.

    :param classes: in the order in which they come.
    :returns: the classes of each task, in the order of ``classes``.
    :raises UserError: where a task would have no class or bring no new one.

    >>> [len(task) for task in overlapping_classes(range(100), n_experiences=3, gamma=0.25)]
    [66, 66, 68]
    >>> overlapping_classes(range(6), n_experiences=3, gamma=0.5)
    [(0, 1, 2), (1, 2, 3), (2, 3, 4, 5)]
    """
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


@hyperparameters
def overlapping_stream(
    data: LoadedDataset,
    *,
    name: str,
    n_experiences: NExperiences,
    gamma: Gamma,
    scenario: OverlappingScenario = "class",
    class_order: ClassOrder = None,
    transforms: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None = None,
    **options: Unpack[StreamOptions],
) -> StreamBenchmark:
    """Cut the classes of a data set into tasks that overlap.

    All images of a class appear in every task that has the class. A replay memory therefore may
    hold an image twice, under different ``sample_ids``. By default classes come in the order of the
    authors: the permutation of seed 123. See :func:`overlapping_classes`.

    :param data: the data set.
    :param name: name of the stream.
    :param transforms: transforms of the groups ``train`` and ``eval``.
    :raises UserError: for options out of range.
    """
    given = PAPERS_ORDER if class_order is None else class_order
    classes = permutation("class_order", given, len(data.class_names))
    tasks = overlapping_classes(classes, n_experiences=n_experiences, gamma=gamma)
    return stream_of_tasks(
        data,
        tasks,
        name=name,
        scenario=scenario,
        class_order=classes,
        transforms=transforms,
        **options,
    )


@hyperparameters
def overlapping_digits(
    *,
    n_experiences: NExperiences = 3,
    gamma: Gamma = 0.5,
    scenario: OverlappingScenario = "class",
    data_root: DataRoot = None,
    **options: Unpack[SplitOptions],
) -> StreamBenchmark:
    """Cut scikit-learn's 8x8 digits into tasks that share classes.

    By default classes come in the authors' order, see :func:`overlapping_stream`.
    """
    return overlapping_stream(
        load_dataset("digits", data_root),
        name="overlapping-digits",
        n_experiences=n_experiences,
        gamma=gamma,
        scenario=scenario,
        **options,
    )


@hyperparameters
def overlapping_fashion_mnist(
    *,
    n_experiences: NExperiences = 3,
    gamma: Gamma = 0.5,
    scenario: OverlappingScenario = "class",
    data_root: DataRoot = None,
    **options: Unpack[SplitOptions],
) -> StreamBenchmark:
    """Cut Fashion-MNIST into tasks that share classes.

    By default classes come in the authors' order, see :func:`overlapping_stream`.

    :raises DataMissingError: if the data are not on this machine.
    """
    return overlapping_stream(
        load_dataset("fashion-mnist", data_root),
        name="overlapping-fashion-mnist",
        n_experiences=n_experiences,
        gamma=gamma,
        scenario=scenario,
        **options,
    )


@hyperparameters
def overlapping_cifar100(
    *,
    n_experiences: NExperiences = 3,
    gamma: Gamma = 0.25,
    scenario: OverlappingScenario = "class",
    data_root: DataRoot = None,
    **options: Unpack[SplitOptions],
) -> StreamBenchmark:
    """Cut CIFAR-100 into tasks that share classes.

    Crops, flips and normalization are those of AlignQ and LifeQuant. By default classes come in the
    authors' order, see :func:`overlapping_stream`.

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
        transforms=(
            tv.Compose([tv.RandomCrop(32, padding=4), tv.RandomHorizontalFlip(), *last]),
            tv.Compose(last),
        ),
        **options,
    )

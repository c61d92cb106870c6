"""Streams whose classes come back: the slot-based generator of Hemati et al., "Class-Incremental
Learning with Repetition", CoLLAs 2023.

Each experience has as many slots as ``slots`` says, and a different class in each. A class has its
slots, drawn, in several experiences, and an equal share of its samples in each of them: classes
repeat, samples do not. With as many slots as classes every experience has every class; with fewer
classes return after a while.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from cl_strategies.benchmarks.core.online_options import RepetitionOptions, Slots
from cl_strategies.benchmarks.core.options import NExperiences
from cl_strategies.benchmarks.core.parts import cut_into_parts
from cl_strategies.benchmarks.core.selection import permutation
from cl_strategies.benchmarks.streams.classic import split_cifar10, split_cifar100, split_mnist
from cl_strategies.benchmarks.streams.split import split_digits, split_fashion_mnist
from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import hyperparameters, take_options

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.online import OnlineBenchmark
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

_SLOTS, _SHARES = 0x5107, 0x5108


@hyperparameters
def repetition_digits(
    *, n_experiences: NExperiences = 10, slots: Slots = 4, **options: Unpack[RepetitionOptions]
) -> OnlineBenchmark:
    """Bring the classes of the 8x8 digits of scikit-learn several times, in small parts."""
    return _repeated(split_digits, n_experiences, slots, dict(options))


@hyperparameters
def repetition_fashion_mnist(
    *, n_experiences: NExperiences = 10, slots: Slots = 4, **options: Unpack[RepetitionOptions]
) -> OnlineBenchmark:
    """Bring the classes of Fashion-MNIST several times, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _repeated(split_fashion_mnist, n_experiences, slots, dict(options))


@hyperparameters
def repetition_mnist(
    *, n_experiences: NExperiences = 10, slots: Slots = 4, **options: Unpack[RepetitionOptions]
) -> OnlineBenchmark:
    """Bring the classes of MNIST several times, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _repeated(split_mnist, n_experiences, slots, dict(options))


@hyperparameters
def repetition_cifar10(
    *, n_experiences: NExperiences = 10, slots: Slots = 4, **options: Unpack[RepetitionOptions]
) -> OnlineBenchmark:
    """Bring the classes of CIFAR-10 several times, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _repeated(split_cifar10, n_experiences, slots, dict(options))


@hyperparameters
def repetition_cifar100(
    *, n_experiences: NExperiences = 10, slots: Slots = 20, **options: Unpack[RepetitionOptions]
) -> OnlineBenchmark:
    """Bring the classes of CIFAR-100 several times, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _repeated(split_cifar100, n_experiences, slots, dict(options))


def _repeated(
    make: Callable[..., StreamBenchmark], n_experiences: int, slots: int, options: dict[str, Any]
) -> OnlineBenchmark:
    parts, order = take_options(cut_into_parts, options), options.pop("order")
    benchmark = make(n_experiences=1, **options)
    name = benchmark.info.name.replace("split-", "repetition-")
    seed = parts["sample_seed"]
    made = repeated(benchmark, n_experiences, slots, order=order, seed=seed, name=name)
    return cut_into_parts(made, name, **parts)


def repeated(
    benchmark: StreamBenchmark,
    n_experiences: int,
    slots: int,
    *,
    order: int | Sequence[int] | None,
    seed: int,
    name: str,
) -> StreamBenchmark:
    """Deal the samples of a stream of one class-incremental experience to several.

    :param slots: classes of an experience.
    :param order: of the experiences.
    :raises UserError: if there are more or fewer slots than the classes can fill.
    """
    from cl_strategies.benchmarks.core.stream import StreamBenchmark, StreamExperience

    sides = [stream[0].dataset for stream in (benchmark.train_stream, benchmark.test_stream)]
    train, test = (np.asarray(list(data.targets), dtype=np.int64) for data in sides)
    ids = benchmark.info.task_classes[0]
    classes = slots_of_experiences(ids, n_experiences, slots, seed=seed, name=name)
    dealt = _shares(train, classes, seed, name)
    task_order = permutation("order", order, n_experiences)
    timeline = [classes[task] for task in task_order]
    rows = (
        [np.flatnonzero(dealt == task) for task in task_order],
        [np.flatnonzero(np.isin(test, classes[task])) for task in task_order],
    )
    streams = [
        [
            StreamExperience(
                dataset=data.subset(chosen.tolist()),
                position=position,
                task_label=0,
                timeline=timeline,
            )
            for position, chosen in enumerate(of_side)
        ]
        for data, of_side in zip(sides, rows, strict=True)
    ]
    info = replace(
        benchmark.info,
        name=name,
        task_order=tuple(task_order),
        task_classes=tuple(map(tuple, timeline)),
        class_order=tuple(dict.fromkeys(label for few in classes for label in few)),
    )
    return StreamBenchmark(streams[0], streams[1], info)


def slots_of_experiences(
    classes: Sequence[int], n_experiences: int, slots: int, *, seed: int, name: str
) -> list[list[int]]:
    """Draw the classes of each experience.

    Every class has the same number of slots, or some one more, and at most one in an experience.

    :param name: of the stream, for messages.
    :returns: class ids in ascending order, of each experience.
    :raises UserError: if an experience has more slots than there are classes, or all of them
        together fewer.
    """
    if slots > len(classes) or slots * n_experiences < len(classes):
        raise UserError(
            f"{name}: {n_experiences} experiences of {slots} slots cannot hold {len(classes)} "
            f"classes: give at most {len(classes)} slots, and n_experiences times slots of at "
            f"least {len(classes)}"
        )
    drawn = np.random.RandomState([_SLOTS, seed])
    each, more = divmod(slots * n_experiences, len(classes))
    left = np.full(len(classes), each)
    left[drawn.permutation(len(classes))[:more]] += 1
    result = []
    for ahead in range(n_experiences, 0, -1):
        due = np.flatnonzero(left == ahead)  # a class with a slot in every one that is left
        free = np.flatnonzero((left > 0) & (left < ahead))
        chosen = due
        if free.size:
            share = left[free] / left[free].sum()
            others = drawn.choice(free, slots - due.size, replace=False, p=share)
            chosen = np.concatenate([due, others])
        left[chosen] -= 1
        result.append(sorted(int(classes[index]) for index in chosen.tolist()))
    return result


def _shares(
    targets: np.ndarray, classes: Sequence[Sequence[int]], seed: int, name: str
) -> np.ndarray:
    """Deal the samples of each class to the experiences that have it, ``(n,)``."""
    dealt = np.empty(len(targets), dtype=np.int64)
    for label in sorted({label for few in classes for label in few}):
        homes = [task for task, few in enumerate(classes) if label in few]
        rows = np.flatnonzero(targets == label)
        if len(rows) < len(homes):
            raise UserError(
                f"{name}: class {label} has {len(rows)} training sample(s) for {len(homes)} "
                "experiences: raise fraction, or lower n_experiences or slots"
            )
        drawn = np.random.RandomState([_SHARES, seed, label]).permutation(rows)
        for task, few in zip(homes, np.array_split(drawn, len(homes)), strict=True):
            dealt[few] = task
    return dealt

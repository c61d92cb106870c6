"""Streams whose tasks overlap in time: i-Blurry (Koh et al., "Online Continual Learning on Class
Incremental Blurry Task Configuration with Anytime Inference", ICLR 2022).

In i-Blurry-N-M, N % of the classes of each task are disjoint: their samples come with their task
alone. The other classes are blurry: M % of the samples of each, the minor ones, come with the other
tasks, and the rest with their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from cl_strategies.benchmarks.core.online_options import BlurryOptions
from cl_strategies.benchmarks.core.options import NExperiences
from cl_strategies.benchmarks.core.parts import cut_into_parts
from cl_strategies.benchmarks.streams.classic import split_cifar10, split_cifar100, split_mnist
from cl_strategies.benchmarks.streams.split import split_digits, split_fashion_mnist
from cl_strategies.validation.hyperparameters import hyperparameters, take_options

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.online import OnlineBenchmark
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

_DISJOINT, _MINOR = 0xB1A0, 0xB1A1


@hyperparameters
def blurry_split_digits(
    *, n_experiences: NExperiences = 5, **options: Unpack[BlurryOptions]
) -> OnlineBenchmark:
    """Bring the 8x8 digits of scikit-learn in tasks that overlap in time, in small parts."""
    return _blurry(split_digits, {"n_experiences": n_experiences, **options})


@hyperparameters
def blurry_split_fashion_mnist(
    *, n_experiences: NExperiences = 5, **options: Unpack[BlurryOptions]
) -> OnlineBenchmark:
    """Bring Fashion-MNIST in tasks that overlap in time, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _blurry(split_fashion_mnist, {"n_experiences": n_experiences, **options})


@hyperparameters
def blurry_split_mnist(
    *, n_experiences: NExperiences = 5, **options: Unpack[BlurryOptions]
) -> OnlineBenchmark:
    """Bring MNIST in tasks that overlap in time, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _blurry(split_mnist, {"n_experiences": n_experiences, **options})


@hyperparameters
def blurry_split_cifar10(
    *, n_experiences: NExperiences = 5, **options: Unpack[BlurryOptions]
) -> OnlineBenchmark:
    """Bring CIFAR-10 in tasks that overlap in time, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _blurry(split_cifar10, {"n_experiences": n_experiences, **options})


@hyperparameters
def blurry_split_cifar100(
    *, n_experiences: NExperiences = 5, **options: Unpack[BlurryOptions]
) -> OnlineBenchmark:
    """Bring CIFAR-100 in tasks that overlap in time, in small parts.

    :raises DataMissingError: if the data are not on this machine.
    """
    return _blurry(split_cifar100, {"n_experiences": n_experiences, **options})


def _blurry(make: Callable[..., StreamBenchmark], options: dict[str, Any]) -> OnlineBenchmark:
    parts = take_options(cut_into_parts, options)
    shares = {name: options.pop(name) for name in ("disjoint", "blurry")}
    benchmark = make(**options)
    mixed = blurred(benchmark, **shares, seed=parts["sample_seed"])
    return cut_into_parts(mixed, f"blurry-{benchmark.info.name}", **parts)


def blurred(
    benchmark: StreamBenchmark, *, disjoint: float, blurry: float, seed: int
) -> StreamBenchmark:
    """Move samples of a class-incremental stream to the experiences of other tasks.

    Tasks keep their samples in any order of the tasks.

    :param disjoint: share of the classes of each task, rounded to the nearest number, that are
        left alone; they are drawn.
    :param blurry: share of the samples of every other class, likewise, that is dealt to the other
        tasks evenly.
    """
    from avalanche.benchmarks.utils.utils import concat_datasets

    from cl_strategies.benchmarks.core.stream import StreamBenchmark, StreamExperience

    info = benchmark.info
    position_of = {task: position for position, task in enumerate(info.task_order)}
    pieces: list[list[tuple[int, list[int]]]] = [[] for _ in position_of]
    for task in range(info.n_experiences):
        home = position_of[task]
        data = benchmark.train_stream[home].dataset
        targets = np.asarray(list(data.targets), dtype=np.int64)
        dealt = np.full(len(targets), task)
        for label in _blurry_classes(info.task_classes[home], disjoint, [seed, task]):
            drawn = np.random.RandomState([_MINOR, seed, label])
            _deal(dealt, np.flatnonzero(targets == label), blurry, info.n_experiences, drawn)
        for other in np.unique(dealt).tolist():
            rows = np.flatnonzero(dealt == other).tolist()
            pieces[position_of[other]].append((home, rows))
    sources = [experience.dataset for experience in benchmark.train_stream]
    data_sets = [
        concat_datasets([sources[home].subset(rows) for home, rows in of_one]) for of_one in pieces
    ]
    timeline = [sorted({int(label) for label in data.targets}) for data in data_sets]
    whole = [
        StreamExperience(dataset=data, position=position, task_label=0, timeline=timeline)
        for position, data in enumerate(data_sets)
    ]
    return StreamBenchmark(whole, list(benchmark.test_stream), replace(info, blurry=True))


def _blurry_classes(classes: Sequence[int], disjoint: float, seed: list[int]) -> list[int]:
    """Draw the classes of a task that are not disjoint."""
    drawn = np.random.RandomState([_DISJOINT, *seed]).permutation(sorted(classes))
    return sorted(drawn[_nearest(disjoint * len(classes)) :].tolist())


def _deal(
    dealt: np.ndarray, rows: np.ndarray, blurry: float, tasks: int, drawn: np.random.RandomState
) -> None:
    """Deal a share of the samples of one class to the other tasks, in ``dealt`` (n,) itself.

    :param dealt: task of each sample.
    :param rows: those of the class, one of which stays at least.
    """
    others = [task for task in range(tasks) if task != dealt[rows[0]]]
    if not others:
        return
    minor = drawn.permutation(rows)[: min(_nearest(blurry * len(rows)), len(rows) - 1)]
    first = drawn.randint(len(others))
    dealt[minor] = [others[(first + k) % len(others)] for k in range(len(minor))]


def _nearest(value: float) -> int:
    return math.floor(value + 0.5)

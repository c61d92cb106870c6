"""From labeled samples to a stream: by classes, or by domains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cl_strategies.benchmarks.core.builder import (
    FittedTransforms,
    Transforms,
    build_benchmark,
)
from cl_strategies.benchmarks.core.options import SameClassesScenario, StreamOptions
from cl_strategies.benchmarks.core.samples import Samples
from cl_strategies.benchmarks.core.selection import partition
from cl_strategies.benchmarks.datasets.published import LoadedDataset
from cl_strategies.benchmarks.own.labeled import Labeled
from cl_strategies.benchmarks.own.labels import (
    Ids,
    check_tested,
    class_names,
    held_out,
    listed,
    numbered,
    ordered,
)
from cl_strategies.benchmarks.own.options import CutOptions, TaskOptions
from cl_strategies.benchmarks.streams.split import split_stream
from cl_strategies.errors import UserError, unknown_name

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

#: Training and test samples; ``None``: a share of the training samples is for testing.
Sides = tuple[Labeled, Labeled | None]


def stream_options(options: StreamOptions) -> StreamOptions:
    """Return the options that every stream has."""
    return StreamOptions(
        order=options["order"], fraction=options["fraction"], validation=options["validation"]
    )


def loaded(sides: Sides, test_fraction: float) -> LoadedDataset:
    """Return the samples with class ids, divided.

    :raises UserError: for one class only, a class without test samples, and labels of test samples
        that no training sample has.
    """
    train, test = sides
    names = train.names or tuple(class_names(train.labels, train.what))
    rows, ids = _divided(sides, names, test_fraction)
    return LoadedDataset(
        train.samples(ids[0], rows[0]), (test or train).samples(ids[1], rows[1]), names
    )


def split_labeled(
    sides: Sides,
    options: CutOptions,
    *,
    name: str,
    transforms: Transforms | FittedTransforms | None,
) -> StreamBenchmark:
    """Cut the classes into tasks.

    :raises UserError: for more tasks than classes, and as :func:`loaded`.
    """
    names = sides[0].names or tuple(class_names(sides[0].labels, sides[0].what))
    order = ordered(options["class_order"], names)
    n_experiences = options["n_experiences"] or max(1, len(names) // 2)
    partition(order, n_experiences)  # refused before images are read
    return split_stream(
        loaded(sides, options["test_fraction"]),
        name=name,
        n_experiences=n_experiences,
        scenario=options["scenario"],
        class_order=order,
        transforms=transforms,
        **stream_options(options),
    )


def domain_labeled(
    domains: Mapping[str, Sides],
    options: TaskOptions,
    *,
    name: str,
    scenario: SameClassesScenario,
    transforms: Transforms | FittedTransforms | None,
) -> StreamBenchmark:
    """Make one task per domain, with the same classes in each.

    :param domains: the samples of each, in the order of the tasks.
    :raises UserError: if a domain lacks a class, for another number of tasks, and as
        :func:`loaded`.
    """
    count = options["n_experiences"] or len(domains)
    if count > len(domains):
        raise UserError(
            f"n_experiences is {count}, and there are {len(domains)} domains "
            f"({listed(list(domains))}): give at most {len(domains)}"
        )
    chosen = dict(list(domains.items())[:count])
    labels = [label for train, _ in chosen.values() for label in train.labels]
    first = next(iter(chosen.values()))[0]
    names = first.names or tuple(class_names(labels, first.what))
    streams: list[tuple[Samples, Samples]] = []
    for domain, sides in chosen.items():
        missing = [name for name in names if name not in set(sides[0].labels)]
        if missing:
            raise UserError(
                f"the domain {domain!r} has no training sample of {listed(missing)}: every domain "
                "needs every class"
            )
        rows, ids = _divided(sides, names, options["test_fraction"], f", domain {domain!r}")
        train, test = sides
        pair = train.samples(ids[0], rows[0]), (test or train).samples(ids[1], rows[1])
        streams.append(pair)
    return build_benchmark(
        [train for train, _ in streams],
        [test for _, test in streams],
        name=name,
        scenario=scenario,
        classes=[range(len(names))] * len(streams),
        class_names=names,
        transforms=transforms,
        **stream_options(options),
    )


def chosen_domains(found: Sequence[str], given: Sequence[str] | None) -> list[str]:
    """Return names of domains in the order of the tasks.

    :param found: all that the data have.
    :param given: which of them; ``None``: all.
    :raises UserError: for an unknown name, one that stands twice, or none at all.
    """
    names = list(found if given is None else given)
    for domain in names:
        if domain not in found:
            raise unknown_name("domain", domain, found)
    if len(set(names)) < len(names) or not names:
        raise UserError(f"domains is {names}: give different ones of {listed(found)}")
    return names


def _divided(
    sides: Sides, names: Sequence[str], share: float, suffix: str = ""
) -> tuple[tuple[Ids, Ids], tuple[Ids, Ids]]:
    """Return rows of training and of test samples, and their class ids."""
    train, test = sides
    labels = numbered(train.labels, names, train.where)
    if test is None:
        rows = held_out(labels, names, share, train.what + suffix)
        return rows, (labels[rows[0]], labels[rows[1]])
    others = numbered(test.labels, names, test.where)
    check_tested(others, names, test.what + suffix)
    return (np.arange(len(labels)), np.arange(len(others))), (labels, others)

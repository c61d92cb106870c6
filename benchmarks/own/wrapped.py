"""Benchmarks of Avalanche under the stream contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Unpack

import numpy as np
import torch
from typing_extensions import Doc

from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.core.contract import StreamInfo
from cl_strategies.benchmarks.core.options import Scenario, StreamOptions
from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

WrappedName = Annotated[str, Doc("Name of the stream, which reports show.")]
WrappedScenario = Annotated[
    Literal["class", "task", "domain"] | None,
    Doc(
        "Form of the stream; none: ``task`` if its experiences have different task labels, "
        "``domain`` if all of them have the same classes, else ``class``."
    ),
]


@hyperparameters
def from_avalanche(
    benchmark: Any,
    train: Iterable[Any] | None = None,
    test: Iterable[Any] | None = None,
    *,
    name: WrappedName = "avalanche",
    scenario: WrappedScenario = None,
    **options: Unpack[StreamOptions],
) -> StreamBenchmark:
    """Bring a benchmark of Avalanche under the stream contract.

    Of ``nc_benchmark``, ``ni_benchmark``, ``benchmark_from_datasets``,
    ``class_incremental_benchmark`` and their like. Data sets keep their transforms. Where there is
    one test experience for several training experiences, each of these is tested on the test
    samples of its classes. A stream of ``split_online_stream`` is read once, and keeps its parts. A
    benchmark of this package is returned as it is.

    :param benchmark: with a ``train_stream`` and a ``test_stream``.
    :param train: a stream to take for the train stream, such as an online one.
    :param test: a stream to take for the test stream.
    :raises UserError: for another number of test than of training experiences, samples without
        labels, samples that are no tensors, and parts of unequal sizes.
    """
    if isinstance(getattr(benchmark, "info", None), StreamInfo) and train is None and test is None:
        if scenario is not None or any(options.get(key) for key in ("order", "validation")):
            raise UserError(
                f"{benchmark.info.name} is a stream of this package: give its options where it is "
                "made"
            )
        made: StreamBenchmark = benchmark
        return made
    learned = _stream(benchmark, "train") if train is None else list(train)
    tested = _stream(benchmark, "test") if test is None else list(test)
    parts = _parts(learned)
    pieces = [_joined(group) for group in parts] if parts else [one.dataset for one in learned]
    checks = [experience.dataset for experience in tested]
    if len(checks) == 1:
        checks *= len(pieces)
    if not pieces or len(checks) != len(pieces):
        raise UserError(
            f"the benchmark has {len(pieces)} training and {len(checks)} test experiences: give "
            "one test experience for each, or one for all"
        )
    for data in (pieces[0], checks[0]):
        _check_sample(data)
    result = build_benchmark(
        pieces,
        checks,
        name=name,
        scenario=scenario or inferred_scenario(pieces),
        **options,
    )
    return _in_parts(result, parts) if parts else result


def inferred_scenario(datasets: Sequence[Any]) -> Scenario:
    """Return the form that the labels of training data sets speak for."""
    tasks = [set(getattr(data, "targets_task_labels", None) or [0]) for data in datasets]
    classes = [set(map(int, getattr(data, "targets", ()))) for data in datasets]
    if len(tasks) > 1 and len({min(labels) for labels in tasks}) == len(tasks):
        return "task"
    if len(classes) > 1 and all(labels == classes[0] for labels in classes):
        return "domain"
    return "class"


def _stream(benchmark: Any, side: str) -> list[Any]:
    for name in (f"{side}_stream", f"{side}_online_stream"):
        if hasattr(benchmark, name):
            return list(getattr(benchmark, name))
    raise UserError(
        f"a {type(benchmark).__name__} has no {side}_stream: give a benchmark of Avalanche, or a "
        f"stream as {side}"
    )


def _check_sample(data: Any) -> None:
    """:raises UserError: unless samples are tensors with labels."""
    if not hasattr(data, "targets"):
        raise UserError(
            "a data set of the benchmark has no targets: make it with as_classification_dataset, "
            "or with a DataAttribute called targets"
        )
    x = data.eval()[0][0]
    if not torch.is_tensor(x) or not x.is_floating_point():
        kind = x.dtype if torch.is_tensor(x) else type(x).__name__
        raise UserError(
            f"samples of the benchmark are of type {kind}, and networks take floating-point "
            "tensors: give it a transform such as torchvision's ToTensor()"
        )


def _parts(experiences: Sequence[Any]) -> list[list[Any]]:
    """Return the parts of each experience of an online stream; nothing if it is none."""
    from avalanche.benchmarks.scenarios.online import OnlineCLExperience

    if not any(isinstance(one, OnlineCLExperience) for one in experiences):
        return []
    groups: list[list[Any]] = []
    for part in experiences:
        whole = getattr(part, "origin_experience", None)
        if whole is None:
            raise UserError(
                "parts of the online stream do not say which experience they are of: take one of "
                "split_online_stream"
            )
        if not groups or groups[-1][0].origin_experience is not whole:
            groups.append([])
        groups[-1].append(part)
    size = len(groups[0][0].dataset)
    sizes = [len(part.dataset) for group in groups for part in group[:-1]]
    if any(found != size for found in sizes) or any(len(g[-1].dataset) > size for g in groups):
        raise UserError(
            "parts of the online stream differ in size: make them with an experience_size"
        )
    return groups


def _joined(parts: Sequence[Any]) -> Any:
    from avalanche.benchmarks.utils.utils import concat_datasets

    return concat_datasets([part.dataset for part in parts])


def _in_parts(whole: StreamBenchmark, parts: Sequence[Sequence[Any]]) -> StreamBenchmark:
    from cl_strategies.benchmarks.core.online import OnlineBenchmark

    experiences = list(whole.train_stream)
    size = len(parts[0][0].dataset)
    rows = [np.arange(len(one.dataset)) for one in experiences]
    info = replace(whole.info, parts=tuple(-(-len(few) // size) for few in rows))
    boundaries = bool(getattr(parts[0][0], "access_task_boundaries", False))
    return OnlineBenchmark(experiences, list(whole.test_stream), info, (rows, size, boundaries))

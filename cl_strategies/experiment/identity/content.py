"""The content of a benchmark that is given as an object: every sample, and what becomes of it."""

from __future__ import annotations

import hashlib
from typing import Any

from cl_strategies.benchmarks import StreamInfo
from cl_strategies.benchmarks.core.samples import TransformedTensors
from cl_strategies.experiment.identity.data_fingerprint import fingerprint
from cl_strategies.experiment.identity.described import described
from cl_strategies.plugins.data.flatten import NotResident, flatten


def content_of(benchmark: Any) -> str:
    """Return sixteen hexadecimal digits for all that a benchmark is, in any order of its tasks.

    Samples that a data set draws at random count by their number and their labels.

    :param benchmark: under the stream contract.
    """
    info: StreamInfo = benchmark.info
    transforms: set[str] = set()
    for stream in (
        getattr(benchmark, "whole_stream", benchmark.train_stream),
        benchmark.test_stream,
    ):
        for experience, task in zip(stream, info.task_order, strict=True):
            transforms.update(f"{task} {text}" for text in _transforms(experience.dataset))
    said: list[Any] = [
        info.name,
        info.scenario,
        info.n_classes,
        sorted(transforms),
        fingerprint(benchmark, every=True),
    ]
    if info.parts is not None:
        part = benchmark.train_stream[0]
        ids = [list(one.dataset.sample_ids) for one in benchmark.train_stream]
        said += [part.access_task_boundaries, sorted(map(str, ids))]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def _transforms(dataset: Any) -> set[str]:
    """Return what its groups of transforms, and transforms below them, would do."""
    found: set[str] = set()
    groups = {"train", "eval", *dataset._flat_data._transform_groups.transform_groups}
    for group in sorted(groups):
        try:
            branches = flatten(dataset.with_transforms(group))
        except NotResident:
            found.add(f"{group} {described(type(dataset))}")
            continue
        for branch in branches:
            leaf = branch.leaf
            below = leaf._transform if isinstance(leaf, TransformedTensors) else None
            own = getattr(leaf, "transform", None)
            found.add(f"{group} {described([branch.pipeline, below, own])}")
    return found

"""Samples to calibrate with: from a memory of exemplars, a data set, a loader or tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from torch import Tensor
from torch.utils.data import Dataset

from cl_strategies.errors import UserError

#: Samples that go through the network at a time; also AdaRound's batch (its paper: 32).
BATCH = 32
_SEED = 0
Batch = tuple[Tensor, Tensor]
"""Inputs ``(N, ...)`` and task labels ``(N,)``."""


def calibration_batches(source: Any, most: int) -> list[Batch]:
    """Return samples in batches of mixed composition, without labels of classes.

    Always the same for the same source: no random generator of the caller is drawn from.

    :param source: a memory of exemplars (with a ``buffer``), a plugin or strategy with one
        (``storage_policy``), a data set, a tensor ``(N, ...)``, or batches: tensors, or tuples that
        begin with inputs; a third entry are task labels.
    :param most: number of samples; of a memory or data set they are taken at equal distances, of
        batches the first.
    :raises UserError: if there are none, they are no tensors of one shape, or not finite.
    """
    inputs, tasks = _gathered(source, most)
    if inputs.is_floating_point() and not bool(inputs.isfinite().all()):
        raise UserError(
            "a sample to calibrate with holds NaN or infinity, from which no range follows: leave "
            "such samples out"
        )
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(_SEED))
    order = order.to(inputs.device)
    parts = zip(inputs[order].split(BATCH), tasks[order].split(BATCH), strict=True)
    return list(parts)


def _gathered(source: Any, most: int) -> Batch:
    source = getattr(source, "storage_policy", source)
    source = getattr(source, "buffer", source) if not isinstance(source, Tensor) else [source]
    sized = isinstance(source, AvalancheDataset | Dataset)
    found = _rows(source, most) if sized else _first(source, most)
    pairs = [(x, tasks) for x, tasks in found if len(x)]
    if not pairs:
        raise UserError(
            "there is no sample to calibrate with: give a memory that has seen an experience, a "
            "data set or batches"
        )
    shapes = sorted({tuple(x.shape[1:]) for x, _ in pairs})
    if len(shapes) > 1:
        raise UserError(
            f"samples to calibrate with have the shapes {shapes[0]} and {shapes[1]}: give one shape"
        )
    return torch.cat([x for x, _ in pairs]), torch.cat([t for _, t in pairs])


def _rows(dataset: Any, most: int) -> Iterator[Batch]:
    """Yield samples of a data set, as they are evaluated."""
    data = dataset.eval() if isinstance(dataset, AvalancheDataset) else dataset
    tasks = getattr(data, "targets_task_labels", None)
    count = min(most, len(data))
    for number in range(count):
        row = number * len(data) // count
        x = _inputs(data[row])[0][None]
        yield x, torch.tensor([0 if tasks is None else int(tasks[row])], device=x.device)


def _first(batches: Any, most: int) -> Iterator[Batch]:
    if not isinstance(batches, Iterable):
        raise UserError(
            f"cannot calibrate with a {type(batches).__name__}: give a memory of exemplars, a data "
            "set, a tensor (N, ...) or batches"
        )
    left = most
    for batch in batches:
        x, rest = _inputs(batch)
        tasks = torch.as_tensor(rest[1] if len(rest) > 1 else 0, device=x.device)
        yield x[:left], tasks.long().expand(len(x))[:left]
        left -= len(x)
        if left <= 0:
            return


def _inputs(values: Any) -> tuple[Tensor, list[Any]]:
    """Return inputs, and what follows them."""
    x, *rest = values if isinstance(values, tuple | list) and values else [values]
    if not isinstance(x, Tensor):
        raise UserError(
            f"a sample to calibrate with is a {type(x).__name__}, not a tensor: give the data set "
            "the transforms that the network is evaluated with"
        )
    return x, rest

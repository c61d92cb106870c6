"""Data sets as columns of tensors from which mini-batches are sliced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks.utils import AvalancheDataset
from torch import Tensor
from torch.utils.data import default_collate

from cl_strategies.plugins.data.flatten import Branch, NotResident, attribute_column, flatten
from cl_strategies.plugins.data.store import Kept, Store, TooLarge, generators_untouched
from cl_strategies.plugins.data.transforms import (
    BatchOp,
    batch_ops,
    is_deterministic,
    is_deterministic_target,
    split_pipeline,
    splits,
)

Indices = Tensor | slice


class ResidentInputs:
    """Inputs in memory, and what is done to a batch of them.

    :param x: all inputs (slots, ...).
    :param suffix: torchvision transforms that ``ops`` stand for.
    :param ops: applied to every batch, first applied first.
    """

    def __init__(self, x: Tensor, suffix: list[Any], ops: list[BatchOp]) -> None:
        if ops and x.ndim != 4:
            raise NotResident("batched augmentation needs samples of shape (C, H, W)")
        self.x = x
        self.suffix = suffix
        self.ops = ops

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ResidentInputs)
            and self.x is other.x
            and [id(t) for t in self.suffix] == [id(t) for t in other.suffix]
        )

    __hash__ = None  # type: ignore[assignment]

    def batch(self, slots: Tensor) -> Tensor:
        """Return the inputs in ``slots``, always in new memory."""
        x = self.x.index_select(0, slots.to(self.x.device, non_blocking=True))
        for op in self.ops:
            x = op(x)
        return x


class ResidentTable:
    """Several data sets end to end, as one table.

    :param datasets: Avalanche data sets whose samples are ``(input, target, ...)``.
    :param store: where inputs are kept.
    :param device: where batches are wanted.
    :raises NotResident: if batches like the stock loader's cannot be made from memory.
    """

    def __init__(self, datasets: Sequence[Any], store: Store, device: torch.device) -> None:
        self.device = device
        self.sources: list[ResidentInputs] = []
        parts = [self._add(dataset, store) for dataset in datasets if len(dataset)]
        if not parts:
            raise NotResident("there are no samples")
        widths = {len(columns) for _, _, columns in parts}
        if len(widths) > 1:
            raise NotResident("its samples differ in the number of elements")
        self.owner = torch.cat([owner for owner, _, _ in parts])
        self.slot = torch.cat([slot for _, slot, _ in parts])
        self.columns = [
            _joined([columns[i] for _, _, columns in parts]).to(device) for i in range(widths.pop())
        ]
        with generators_untouched():
            shapes = {
                (source.batch(torch.zeros(1, dtype=torch.int64)).shape, source.x.dtype)
                for source in self.sources
            }
        if len(shapes) > 1:
            raise NotResident("its samples differ in shape or type")
        if len(self.sources) == 1:
            self.slot = self.slot.to(device)

    def __len__(self) -> int:
        return len(self.slot)

    def batch(self, indices: Indices) -> list[Tensor]:
        """Return the samples at ``indices``, collated, in memory of their own."""
        if isinstance(indices, slice):
            rest = [column[indices].clone() for column in self.columns]
            chosen = self.slot[indices]
        else:
            chosen = indices.to(self.slot.device, non_blocking=True)
            chosen = self.slot.index_select(0, chosen)
            there = indices.to(self.device, non_blocking=True)
            rest = [column.index_select(0, there) for column in self.columns]
        if len(self.sources) == 1:
            return [self.sources[0].batch(chosen), *rest]
        owner = self.owner[indices]
        places = [(owner == i).nonzero().flatten() for i in range(len(self.sources))]
        pieces = [
            (mine, source.batch(chosen[mine]))
            for mine, source in zip(places, self.sources, strict=True)
            if len(mine)
        ]
        first = pieces[0][1]
        x = first.new_empty((len(owner), *first.shape[1:]))
        for mine, piece in pieces:
            x[mine.to(x.device, non_blocking=True)] = piece
        return [x, *rest]

    def _add(self, dataset: Any, store: Store) -> tuple[Tensor, Tensor, list[Tensor]]:
        owner = np.empty(len(dataset), dtype=np.int64)
        slot = np.empty(len(dataset), dtype=np.int64)
        pieces: list[tuple[Branch, list[Tensor]]] = []
        for branch in flatten(dataset):
            if hasattr(branch.leaf, "ffcv_info"):
                raise NotResident("it is read through FFCV")
            inputs, targets = split_pipeline(branch.pipeline)
            source, kept = self._source(branch, inputs, store)
            if source not in self.sources:
                self.sources.append(source)
            owner[branch.where] = self.sources.index(source)
            slot[branch.where] = slots = kept.slots(branch.rows)
            rest = [column[torch.from_numpy(slots)] for column in kept.rest]
            rest[0] = _mapped(rest[0], targets)
            pieces.append((branch, rest))
        columns = [_scattered(pieces, i, len(dataset)) for i in range(len(pieces[0][1]))]
        if isinstance(dataset, AvalancheDataset):
            attributes = dataset._data_attributes.values()
            columns += [attribute_column(a) for a in attributes if a.use_in_getitem]
        part = torch.from_numpy(owner), torch.from_numpy(slot), columns
        self._compare(dataset, part)
        return part

    def _source(
        self, branch: Branch, inputs: list[Any], store: Store
    ) -> tuple[ResidentInputs, Kept]:
        reasons: list[TooLarge] = []
        for prefix, suffix in splits(inputs):
            try:
                kept = store.fetch(branch.leaf, branch.rows, prefix, self.device)
            except TooLarge as error:
                reasons.append(error)
                continue
            return ResidentInputs(kept.x, suffix, batch_ops(suffix, image=kept.image)), kept
        raise reasons[0]

    def _compare(self, dataset: Any, part: tuple[Tensor, Tensor, list[Tensor]]) -> None:
        """Check a few samples against what the stock loader would deliver."""
        owner, slot, columns = part
        with generators_untouched():
            for i in {0, len(dataset) // 2, len(dataset) - 1}:
                source = self.sources[int(owner[i])]
                ours = [source.batch(slot[i : i + 1]), *(column[i : i + 1] for column in columns)]
                theirs = default_collate([dataset[i]])
                exact = all(map(is_deterministic, source.suffix))
                same = len(ours) == len(theirs) and all(
                    isinstance(b, Tensor)
                    and a.shape == b.shape
                    and a.dtype == b.dtype
                    and ((j == 0 and not exact) or torch.equal(a.cpu(), b.cpu()))
                    for j, (a, b) in enumerate(zip(ours, theirs, strict=True))
                )
                if not same:
                    raise NotResident("a sample read again differs from the one kept")


def _mapped(raw: Tensor, transforms: list[Any]) -> Tensor:
    """Apply ``transforms`` to every target, once for each distinct one."""
    for transform in transforms:
        if not is_deterministic_target(transform):
            raise NotResident(f"the target transform {transform} is not known")
    if not transforms:
        return raw
    if raw.ndim != 1:
        raise NotResident("its targets are transformed and not plain numbers")
    distinct, place = raw.unique(return_inverse=True)
    values = []
    for value in distinct.tolist():
        for transform in transforms:
            value = transform(value)
        values.append(value)
    mapped: Tensor = default_collate(values)
    return mapped[place]


def _scattered(pieces: list[tuple[Branch, list[Tensor]]], i: int, n: int) -> Tensor:
    """Return column ``i`` of all branches, in the order of the data set."""
    if len(pieces) == 1:
        return pieces[0][1][i]
    if len({len(columns) for _, columns in pieces}) > 1:
        raise NotResident("its samples differ in the number of elements")
    parts = [columns[i] for _, columns in pieces]
    _joined([part[:1] for part in parts])
    whole = parts[0].new_empty((n, *parts[0].shape[1:]))
    for (branch, _), part in zip(pieces, parts, strict=True):
        whole[torch.from_numpy(branch.where)] = part
    return whole


def _joined(parts: list[Tensor]) -> Tensor:
    if len({(part.shape[1:], part.dtype) for part in parts}) > 1:
        raise NotResident("its targets differ in shape or type")
    return parts[0] if len(parts) == 1 else torch.cat(parts)

"""Where the samples of an Avalanche data set come from.

An ``AvalancheDataset`` is a tree of concatenations, subsets and transforms over the data sets it
was made from. Reading one sample walks that tree; here the whole tree is walked once, for all
samples, and flattened into branches: rows of a leaf, and the transforms on their way up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data import _FlatDataWithTransform
from avalanche.benchmarks.utils.flat_data import ConstantSequence, FlatData, LazyIndices, LazyRange
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset, default_collate

Rows = npt.NDArray[np.int64]


class NotResident(Exception):
    """The data cannot be kept in memory; the message says why, without naming a sample."""


@dataclass(frozen=True)
class Branch:
    """Samples that share a leaf and its transforms.

    :param leaf: the data set that holds the raw samples.
    :param rows: which of them (n,).
    :param where: their positions in the flattened data set (n,).
    :param pipeline: entries of transform groups, first applied first.
    """

    leaf: Any
    rows: Rows
    where: Rows
    pipeline: tuple[Any, ...]


def flatten(dataset: Any) -> list[Branch]:
    """Return the branches of ``dataset`` under its current transform group.

    :param dataset: an Avalanche data set, or anything with ``__getitem__`` and ``__len__``.
    :raises NotResident: if its class reads samples in a way of its own.
    """
    node, group = dataset, None
    if isinstance(dataset, AvalancheDataset):
        if type(dataset).__getitem__ is not AvalancheDataset.__getitem__:
            raise NotResident(f"{type(dataset).__name__} has its own way of reading samples")
        node = dataset._flat_data
        group = node._transform_groups.current_group
    everything = np.arange(len(dataset), dtype=np.int64)
    branches: list[Branch] = []
    _walk(node, everything, everything, (), group, branches)
    return branches


def attribute_column(attribute: Any) -> Tensor:
    """Collate the values of a ``DataAttribute`` into one tensor (n, ...)."""
    values = attribute.data
    if isinstance(values, ConstantSequence):
        one: Tensor = default_collate([values[0]])
        return one.expand(len(values), *one.shape[1:])
    everything = np.arange(len(values), dtype=np.int64)
    branches: list[Branch] = []
    _walk(values, everything, everything, (), None, branches)
    collected: list[Any] = [None] * len(values)
    for branch in branches:
        for position, row in zip(branch.where.tolist(), branch.rows.tolist(), strict=True):
            collected[position] = branch.leaf[row]
    column: Tensor = default_collate(collected)
    return column


def _walk(
    node: Any,
    rows: Rows,
    where: Rows,
    above: tuple[Any, ...],
    group: str | None,
    branches: list[Branch],
) -> None:
    if type(node) is Subset:
        _walk(node.dataset, _as_rows(node.indices)[rows], where, above, group, branches)
        return
    children: Sequence[Any]
    if type(node) is ConcatDataset:
        children = list(node.datasets)
    elif isinstance(node, FlatData) and type(node).__getitem__ in _TRANSPARENT:
        if isinstance(node, _FlatDataWithTransform):
            if group is None:
                group = node._transform_groups.current_group
            above = (
                _group(node._frozen_transform_groups, group),
                _group(node._transform_groups, group),
                *above,
            )
        if node._indices is not None:
            rows = _as_rows(node._indices)[rows]
        children = node._datasets
    else:
        branches.append(Branch(node, rows, where, tuple(t for t in above if t is not None)))
        return
    if len(children) == 1:
        _walk(children[0], rows, where, above, group, branches)
        return
    ends = np.cumsum([len(child) for child in children])
    owner = np.searchsorted(ends, rows, side="right")
    for i, child in enumerate(children):
        mine = owner == i
        if mine.any():
            start = int(ends[i]) - len(child)
            _walk(child, rows[mine] - start, where[mine], above, group, branches)


_TRANSPARENT = (FlatData.__getitem__, _FlatDataWithTransform.__getitem__)


def _group(groups: Any, name: str | None) -> Any:
    try:
        return groups.transform_groups[name]
    except KeyError:
        raise NotResident(f"its transforms have no group {name!r}") from None


def _as_rows(indices: Sequence[int]) -> Rows:
    if isinstance(indices, LazyRange):
        first = indices._start + indices._offset
        return np.arange(first, first + len(indices), dtype=np.int64)
    if isinstance(indices, LazyIndices):
        indices._to_eager()
        return np.asarray(indices._eager_list, dtype=np.int64)
    return np.asarray(indices, dtype=np.int64)

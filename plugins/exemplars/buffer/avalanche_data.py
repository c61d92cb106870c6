"""What a buffer needs of an Avalanche data set: images before their transforms, and those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.classification_dataset import (
    TaskAwareSupervisedClassificationDataset,
)
from avalanche.benchmarks.utils.data import _FlatDataWithTransform
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from avalanche.benchmarks.utils.transforms import (
    MultiParamCompose,
    MultiParamTransformCallable,
    TupleTransform,
)
from torchvision.transforms import Compose

from cl_strategies.errors import UserError
from cl_strategies.plugins.data.flatten import NotResident, attribute_column, flatten

Transforms = dict[str, Callable[[Any], Any] | None]


class RawImages:
    """Read the images of a data set as they are before its (unfrozen) transforms.

    The tree of subsets and concatenations is walked once, not for each image.

    :param dataset: An Avalanche data set.
    """

    def __init__(self, dataset: AvalancheDataset) -> None:
        self._data = dataset.train().remove_current_transform_group()
        self._leaves: list[Any] | None = None
        try:
            branches = flatten(self._data)
        except NotResident:  # it reads its samples in a way of its own
            return
        if any(list(_flat(entry)) for branch in branches for entry in branch.pipeline):
            return  # frozen transforms belong to the image
        self._leaves = [branch.leaf for branch in branches]
        self._owner = np.empty(len(self._data), dtype=np.int64)
        self._row = np.empty(len(self._data), dtype=np.int64)
        for number, branch in enumerate(branches):
            self._owner[branch.where] = number
            self._row[branch.where] = branch.rows

    def __getitem__(self, index: int) -> Any:
        if self._leaves is None:
            return self._data[index][0]
        return self._leaves[self._owner[index]][int(self._row[index])][0]

    def __len__(self) -> int:
        return len(self._data)


def labels_of(dataset: Any) -> tuple[list[int], list[int] | None]:
    """Return the class and the task label of each sample; ``None`` without task labels.

    :raises UserError: if it has no class labels.
    """
    targets = getattr(dataset, "targets", None)
    if targets is None:
        raise UserError("a data set to store exemplars of needs the attribute targets")
    tasks = getattr(dataset, "targets_task_labels", None)
    return _integers(targets), None if tasks is None else _integers(tasks)


def _integers(values: Any) -> list[int]:
    if isinstance(values, DataAttribute):  # iterating over one walks its tree for each element
        return [int(value) for value in attribute_column(values).tolist()]
    return [int(value) for value in values]


def image_transforms(dataset: AvalancheDataset, *, others: tuple[str, ...] = ()) -> Transforms:
    """Find what the groups ``train`` and ``eval`` do to an image.

    :param others: Names of further groups of transforms to look for.
    :returns: a transform for each group that the data set has; ``None`` for none at all.
    :raises UserError: if parts of the data set have different transforms, or one changes image
        and label together.
    """
    found: Transforms = {}
    for group in ("train", "eval", *others):
        try:
            chain = _chain(dataset._flat_data, group)
        except KeyError:
            continue
        found[group] = Compose(chain) if chain else None
    return found


def make_dataset(
    leaf: Any, targets: list[int], tasks: list[int] | None, transforms: Transforms
) -> AvalancheDataset:
    """Make an Avalanche data set of the samples of ``leaf``, pairs of image and label."""
    attributes = [DataAttribute(targets, "targets")]
    if tasks is None:
        return AvalancheDataset([leaf], data_attributes=attributes, transform_groups=transforms)
    attributes.append(DataAttribute(tasks, "targets_task_labels", use_in_getitem=True))
    return TaskAwareSupervisedClassificationDataset(
        [leaf], data_attributes=attributes, transform_groups=transforms
    )


def _chain(node: Any, group: str) -> list[Callable[[Any], Any]]:
    """Return the transforms of an image from the leaves of the tree up to ``node``."""
    if not isinstance(node, _FlatDataWithTransform):
        return []
    chains = [_chain(child, group) for child in node._datasets]
    if any(chain != chains[0] for chain in chains[1:]):
        raise UserError(
            "parts of this data set have different transforms, so that it is not defined which "
            "an exemplar gets: freeze them, or give all parts the same"
        )
    return [*(chains[0] if chains else []), *_flat(node._transform_groups.transform_groups[group])]


def _flat(transform: Any) -> Iterator[Callable[[Any], Any]]:
    if transform is None:
        return
    if isinstance(transform, TupleTransform):
        yield from _flat(transform.transforms[0])
    elif isinstance(transform, MultiParamCompose):
        for part in transform.transforms:
            yield from _flat(part)
    elif isinstance(transform, MultiParamTransformCallable):
        if transform.max_params != 1:
            raise UserError(
                f"the transform {transform} changes image and label together, which cannot be "
                "done to an exemplar: freeze it, or use transforms of the image alone"
            )
        yield from _flat(transform.transform)
    elif isinstance(transform, Compose):
        for part in transform.transforms:
            yield from _flat(part)
    else:
        yield transform

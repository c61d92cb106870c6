"""The classes of an experience, and the order in which classes arrived."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.validation.plain_data import shown

#: Logit of a class that the model has no output for, or has not seen: its probability is zero.
ABSENT = -1000.0


def labels_by_task(dataset: Any) -> dict[int, list[int]]:
    """Return the class ids in an Avalanche data set by task label, each in ascending order.

    :param dataset: Data set with an attribute ``targets``; the result is empty without one.
        Without ``targets_task_labels`` all samples are of task 0.
    :raises UserError: if a label is not a whole number.
    """
    from cl_strategies.plugins.data.flatten import attribute_column

    targets = getattr(dataset, "targets", None)
    if targets is None or not len(dataset):
        return {}
    try:
        classes = attribute_column(targets)
    except TypeError:  # PyTorch makes no batch of them
        class_ids(targets)  # says which label is none
        raise
    if not isinstance(classes, Tensor) or classes.is_floating_point():
        class_ids(targets)
    if classes.ndim != 1:
        raise UserError(
            f"the labels have the shape {tuple(classes.shape)}: give one class id per sample"
        )
    labels = getattr(dataset, "targets_task_labels", None)
    tasks = (
        torch.zeros_like(classes) if labels is None else torch.as_tensor(attribute_column(labels))
    )
    found: dict[int, list[int]] = {}
    for task, label in torch.stack([tasks, classes]).unique(dim=1).T.tolist():
        found.setdefault(int(task), []).append(int(label))
    return found


def classes_of(experience: Any, task: int | None = None) -> list[int]:
    """Return the class ids of an experience in ascending order.

    :param experience: what it declares as ``classes_in_this_experience`` counts; one that
        declares nothing, as parts of an online stream, is judged by the labels of its samples.
    :param task: of an experience with several task labels: only the classes of this one.
    :raises UserError: if the experience has neither, or a label is not a class id.
    """
    declared = getattr(experience, "classes_in_this_experience", None)
    several = task is not None and len(set(getattr(experience, "task_labels", ()))) > 1
    if declared is not None and not several:
        return class_ids(declared)
    found = labels_by_task(getattr(experience, "dataset", None))
    if found:
        chosen = [found.get(task, [])] if several and task is not None else list(found.values())
        return class_ids(label for labels in chosen for label in labels)
    if declared is not None:
        return class_ids(declared)
    raise UserError(
        "the classes of this experience are not known: it has neither classes_in_this_experience "
        "nor a data set with the attribute targets"
    )


def class_ids(labels: Iterable[Any]) -> list[int]:
    """Return the distinct ``labels`` in ascending order.

    :raises UserError: if one is not a whole number from 0 up.
    """
    ids = set()
    for label in labels:
        value = label.item() if hasattr(label, "item") else label
        if not isinstance(value, int) or value < 0:
            raise UserError(
                f"the label {shown(value)} is not a class id: give whole numbers from 0 up, for "
                "instance the position of each name in a sorted list of the names"
            )
        ids.add(int(value))
    return sorted(ids)


class ArrivalOrder:
    """Classes in the order in which they came, and the index of each in that order.

    :param classes: Class ids that are there from the start.
    """

    def __init__(self, classes: Iterable[int] = ()) -> None:
        self.classes: list[int] = []
        self._index = torch.zeros(0, dtype=torch.int64)
        self._position = self._index
        self.add(classes)

    @property
    def width(self) -> int:
        """Number of logits of a head with these classes: the largest class id plus one."""
        return len(self._position)

    def add(self, classes: Iterable[int]) -> list[int]:
        """Append the classes that are not there yet, and return them."""
        new = [label for label in dict.fromkeys(classes) if label not in self.classes]
        self.classes = [*self.classes, *new]
        self._index = torch.tensor(self.classes, dtype=torch.int64)
        self._position = torch.full((max(self.classes, default=-1) + 1,), -1)
        self._position[self._index] = torch.arange(len(self.classes))
        return new

    def indices(self, labels: Tensor) -> Tensor:
        """Return the class indices of class ids ``(N,)``; -1 for a class that is not there."""
        self._position = self._position.to(labels.device)
        return self._position[labels.long()]  # bytes and booleans would be masks

    def by_class(self, logits: Tensor, width: int = 0) -> Tensor:
        """Reorder logits by class id, with :data:`ABSENT` for classes that are not there.

        :param logits: ``(N, classes that are there)``, in the order of arrival.
        :param width: Smallest number of logits to return; default 0.
        :returns: ``(N, max(width, largest class id + 1))``.
        """
        width = max(width, self.width)
        if self.classes == list(range(width)):
            return logits
        self._index = self._index.to(logits.device)
        return logits.new_full((len(logits), width), ABSENT).index_copy(1, self._index, logits)

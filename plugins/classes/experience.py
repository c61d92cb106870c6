"""What an experience holds, also where Avalanche does not say it.

Parts of an online stream and the experiences of ``benchmark_from_datasets`` and
``new_instances_benchmark`` have a data set and nothing else: no ``classes_in_this_experience``,
and no ``task_labels`` even if their samples have some.
"""

from __future__ import annotations

import copy
from typing import Any

from avalanche.benchmarks.utils.data_attribute import DataAttribute
from torch import Tensor

from cl_strategies.plugins.classes.class_order import classes_of, labels_by_task
from cl_strategies.plugins.protocols.training import TrainingStrategy


def task_labels_of(experience: Any) -> list[int]:
    """Return the task labels of an experience in ascending order; none if samples have none."""
    named = getattr(experience, "task_labels", None)
    if named is None:
        data = getattr(experience, "dataset", None)
        return sorted(labels_by_task(data)) if has_task_labels(data) else []
    return sorted({int(label) for label in named})


def has_task_labels(dataset: Any) -> bool:
    """Return whether the last element of each sample is its task label."""
    attribute = getattr(dataset, "targets_task_labels", None)
    return isinstance(attribute, DataAttribute) and bool(attribute.use_in_getitem)


def described(experience: Any) -> Any:
    """Return ``experience`` with its classes and, if its samples have task labels, those.

    :returns: the experience itself if it lacks nothing, else a copy of it.
    :raises UserError: if a label is not a class id.
    """
    found: dict[str, list[int]] = {}
    classes = classes_of(experience)
    if not hasattr(experience, "classes_in_this_experience"):
        found["classes_in_this_experience"] = classes
    if not hasattr(experience, "task_labels") and has_task_labels(experience.dataset):
        found["task_labels"] = task_labels_of(experience)
    if not found:
        return experience
    complete = copy.copy(experience)
    for name, value in found.items():
        setattr(complete, name, value)
    return complete


def mini_batch_task_labels(strategy: TrainingStrategy) -> Tensor | None:
    """Return the task labels of the current mini-batch ``(N,)``, or ``None`` if there are none."""
    labels: Tensor | None = None
    if hasattr(strategy.experience, "task_labels") and len(strategy.mbatch) > 2:
        labels = strategy.mbatch[-1]
    return labels

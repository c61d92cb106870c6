"""Train samples that hold more than an input, a label and a task label beside exemplars."""

from __future__ import annotations

from typing import Any

from avalanche.benchmarks.utils.data_attribute import DataAttribute
from avalanche.benchmarks.utils.transforms import MultiParamTransform

from cl_strategies.plugins.data.store import generators_untouched

_TASKS = "targets_task_labels"


class _FirstTwo(MultiParamTransform):
    """Input and label of a sample."""

    def __call__(self, *sample: Any) -> list[Any]:
        return list(sample[:2])

    def flat_transforms(self, position: int) -> list[Any]:
        """Itself: it is made of no others."""
        return [self]


def without_extras(dataset: Any) -> Any:
    """Return ``dataset`` with samples of input, label and, if they have one, task label.

    :param dataset: An Avalanche data set.
    :returns: the data set itself if that is what its samples are.
    """
    if not len(dataset):
        return dataset
    shown = [
        attribute for attribute in dataset._data_attributes.values() if attribute.use_in_getitem
    ]
    with generators_untouched():
        extra = len(dataset[0]) - 2 - len(shown)
    hidden = [attribute for attribute in shown if attribute.name != _TASKS]
    if not extra and not hidden:
        return dataset
    groups = dataset._flat_data._transform_groups
    first_two = _FirstTwo() if extra else None
    plain = type(dataset)(
        [dataset],
        data_attributes=[DataAttribute(part.data, part.name) for part in hidden],
        transform_groups=dict.fromkeys(groups.transform_groups, first_two),
    )
    return plain.with_transforms(groups.current_group)

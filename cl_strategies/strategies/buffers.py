"""Exemplar buffers whose content does not depend on how a Python ``set`` came about."""

from __future__ import annotations

from typing import Any

from avalanche.training.storage_policy import ClassBalancedBuffer


class OrderedClassBalancedBuffer(ClassBalancedBuffer):
    """Avalanche's class-balanced reservoir with a reproducible division of its places.

    Places that are left over go to the classes that a ``set`` lists first. How a set of
    integers lists them depends on its history, which a resumed run does not share; a set made
    of the sorted classes lists them the same way in both.
    """

    seen_classes: set[int]

    def update_from_dataset(self, new_data: Any, strategy: Any = None) -> None:
        super().update_from_dataset(new_data, strategy)
        self.seen_classes = set(sorted(self.seen_classes))

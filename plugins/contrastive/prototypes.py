"""A classifier that has a prototype per class."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from cl_strategies.plugins.classes.class_order import ArrivalOrder
from cl_strategies.plugins.contrastive.functional import prototype_scores
from cl_strategies.plugins.incremental.classifiers import Classifier


class Prototypes(Classifier):
    """A prototype per class, in the order in which the classes came.

    :param n_features: size of the features.
    :ivar arrival: which class each row stands for.
    :ivar groups: how many classes came in each experience that brought some.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features, bias=False)
        self.arrival = ArrivalOrder()
        self.groups: list[int] = []

    def bound(self) -> float:
        """Lengths of prototypes do not count; this is that of PyTorch's linear layers."""
        return 1 / math.sqrt(self.n_features)

    def add(self, classes: Sequence[int]) -> None:
        """Make room for the classes that are not there yet."""
        new = self.arrival.add(classes)
        if new:
            self.grow(len(new))
            self.groups.append(len(new))

    def forward(self, features: Tensor) -> Tensor:
        """:param features: ``(N, d)``. :returns: scores in the order of arrival, ``(N, C)``."""
        return prototype_scores(features.to(self.new), self.weight)

"""Arrays behind the figures: curves over tasks and mean matrices."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cl_strategies.plugins.metrics.functional import accuracy_spread, average_accuracy
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.tables import mean_and_std

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A number about the tasks seen so far, after each task.

    :param mean: over the runs (T,); NaN where it was not measured.
    :param std: sample standard deviation (T,); NaN with fewer than two runs.
    """

    mean: Array
    std: Array

    @property
    def only_at_the_end(self) -> bool:
        """Whether nothing but the last point of several was measured (joint training)."""
        return len(self.mean) > 1 and bool(np.isnan(self.mean[:-1]).all())


def seen_accuracy(group: Group) -> Curve:
    """Return the curve of ``group``; empty if none of its runs finished."""
    return _after_each_task(group, average_accuracy)


def seen_spread(group: Group) -> Curve:
    """Return the same of the spread of accuracies over the tasks seen so far."""
    return _after_each_task(group, accuracy_spread)


def _after_each_task(group: Group, metric: Callable[[Array], float]) -> Curve:
    matrices = group.matrices
    points = [[metric(matrix[: t + 1]) for matrix in matrices] for t in range(matrices.shape[1])]
    pairs = [mean_and_std([p for p in point if not math.isnan(p)]) for point in points]
    return Curve(
        mean=np.array([mean for mean, _ in pairs]), std=np.array([std for _, std in pairs])
    )


def mean_matrix(group: Group) -> Array:
    """Return mean accuracy matrix (T, T) over the finished runs; an entry counts where all have
    it."""
    matrices = group.matrices
    return matrices.mean(axis=0) if len(matrices) else np.empty((0, 0))

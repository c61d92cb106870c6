"""Any metric of the accuracy matrix in the logs, by its key."""

from __future__ import annotations

import math
from typing import Any

from cl_strategies.plugins.metrics import functional
from cl_strategies.plugins.metrics.accuracy_matrix import AccuracyMatrix, MatrixMetric
from cl_strategies.plugins.metrics.functional import Matrix
from cl_strategies.plugins.metrics.functional.matrix.inputs import one_of


class MatrixKeyMetric(MatrixMetric):
    """Log a metric of :func:`~cl_strategies.plugins.metrics.functional.matrix_metrics`.

    The accuracies before training and the sizes of the test sets are those of the matrix. In the
    logs it has its key for a name; undefined values are NaN.

    :param matrix: Accuracy matrix to read; it must stand before this metric in the evaluation
        plugin.
    :param key: Key of a metric that is a number, such as ``"fwt_next"`` or ``"aia_weighted"``.
    :param references: what the metric compares with: ``isolated``, ``joint``, ``joint_final``,
        ``random``, for every experience in the order of training, or ``offline``, a number; also
        ``setting``, which may leave forward transfer undefined.
    :raises UserError: for another key.
    """

    def __init__(self, *, matrix: AccuracyMatrix, key: str, **references: Any) -> None:
        one_of(key, scalar_keys(), "key")

        def value(table: Matrix) -> float:
            values = functional.matrix_metrics(
                table, sizes=matrix.sizes, initial=matrix.initial, **references
            )
            return float(values[key])

        super().__init__(matrix=matrix, function=value, name=key)


def scalar_keys() -> list[str]:
    """Return the keys that :class:`MatrixKeyMetric` takes."""
    values = functional.matrix_metrics([[math.nan]])
    return [key for key, value in values.items() if isinstance(value, float)]

"""The accuracy matrix as an evaluation plugin, and the metrics that are functions of it.

``EvaluationPlugin(cl_metrics(), loggers=[...])`` is all a script needs. The matrix counts on the
device of the model and waits for it once per evaluated experience.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from avalanche.evaluation.metric_utils import get_metric_name, stream_type
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics import functional
from cl_strategies.plugins.metrics.functional import Matrix
from cl_strategies.plugins.metrics.trained import experiences_begun
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters

Stream = Annotated[str, Doc("Name of the stream whose evaluations count; others are ignored.")]
Weighted = Annotated[bool, Doc("Weight each experience by its number of test samples.")]
_READ = Doc("Accuracy matrix to read, which stands before this metric in the evaluation plugin.")


@hyperparameters
class AccuracyMatrix(PluginMetric[Matrix]):
    """Top-1 accuracy on every test experience after every training experience.

    Row ``t`` stands for the ``t``-th experience that was trained, whatever was evaluated in
    between: an evaluation before any training goes to :attr:`initial`, a repeated or periodic
    evaluation replaces the entries it measures again, an evaluation of some experiences leaves
    the others as they are, and joint training over ``T`` experiences fills the last of ``T`` rows.
    The parts of an online stream's experience count as one.

    Column ``i`` is the test experience of the ``i``-th trained experience, so the diagonal is
    right also when a script trains the stream in another order; experiences not trained yet
    follow.

    :ivar latest: what the latest evaluation measured, by test experience, in its order.
    """

    def __init__(self, *, stream: Stream = "test") -> None:
        super().__init__()
        self.stream = stream
        self.reset()

    def reset(self) -> None:
        """Discard everything measured so far."""
        self._trained: list[int] = []
        self._cells: dict[tuple[int, int], float] = {}
        self._sizes: dict[int, int] = {}
        self._columns = 0
        self._active = False
        self.latest: dict[int, float] = {}

    @property
    def evaluated(self) -> bool:
        """Whether the latest evaluation measured :attr:`stream`."""
        return bool(self.latest)

    def result(self) -> Matrix:
        """Return :attr:`matrix`."""
        return self.matrix

    @property
    def matrix(self) -> Matrix:
        """Accuracies (rows trained, test experiences) in [0, 1]; NaN where not measured."""
        table = np.full((len(self._trained), self._columns), np.nan)
        for (row, column), value in self._cells.items():
            if row >= 0:
                table[row, column] = value
        return table[:, self._column_order()]

    @property
    def initial(self) -> Matrix:
        """Accuracies before any training (test experiences,); NaN where not measured."""
        row = np.full(self._columns, np.nan)
        for (t, column), value in self._cells.items():
            if t < 0:
                row[column] = value
        return row[self._column_order()]

    @property
    def sizes(self) -> list[int]:
        """Number of test samples per column; 0 for those never evaluated."""
        return [self._sizes.get(i, 0) for i in self._column_order()]

    def _column_order(self) -> list[int]:
        distinct = list(dict.fromkeys(self._trained))
        if len(distinct) < len(self._trained) or any(i >= self._columns for i in distinct):
            return list(range(self._columns))
        return distinct + [i for i in range(self._columns) if i not in set(distinct)]

    def before_training_exp(self, strategy: TrainingStrategy) -> None:
        self._trained += experiences_begun(strategy, len(self._trained))

    def before_eval(self, strategy: TrainingStrategy) -> None:
        self.latest = {}

    def before_eval_exp(self, strategy: TrainingStrategy) -> None:
        self._active = stream_type(strategy.experience) == self.stream
        self._correct = torch.zeros((), dtype=torch.int64, device=strategy.device)
        self._total = 0

    def after_eval_iteration(self, strategy: TrainingStrategy) -> None:
        if self._active:
            labels = strategy.mb_y if strategy.mb_y.ndim == 1 else strategy.mb_y.argmax(1)
            self._correct += (strategy.mb_output.argmax(1) == labels).sum()
            self._total += len(labels)

    def after_eval_exp(self, strategy: TrainingStrategy) -> MetricValue | None:
        if not self._active or self._total == 0:
            return None
        self._active = False
        column = strategy.experience.current_experience
        self._columns = max(self._columns, column + 1, _stream_length(strategy.experience))
        value = int(self._correct) / self._total
        self._cells[len(self._trained) - 1, column] = self.latest[column] = value
        self._sizes[column] = self._total
        name = get_metric_name(self, strategy, add_experience=True, add_task=True)
        return MetricValue(self, name, value, strategy.clock.train_iterations)

    def state_dict(self) -> dict[str, Any]:
        """Return everything measured, as plain data."""
        return {
            "stream": self.stream,
            "trained": list(self._trained),
            "columns": self._columns,
            "cells": [[row, column, value] for (row, column), value in self._cells.items()],
            "sizes": [[column, size] for column, size in self._sizes.items()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned.

        :raises UserError: if the state was recorded on another stream.
        """
        if state["stream"] != self.stream:
            raise UserError(
                f"this accuracy matrix records the stream {self.stream!r}, the saved one "
                f"{state['stream']!r}; create it with stream={state['stream']!r}"
            )
        self.reset()
        self._trained = list(state["trained"])
        self._columns = state["columns"]
        self._cells = {(row, column): value for row, column, value in state["cells"]}
        self._sizes = {column: size for column, size in state["sizes"]}

    def __str__(self) -> str:
        return "Accuracy_Matrix_Entry"


class MatrixMetric(PluginMetric[float]):
    """A number computed from an :class:`AccuracyMatrix` after every evaluation of its stream.

    Undefined values are emitted as NaN.

    :param matrix: Accuracy matrix to read; it must stand before this metric in the evaluation
        plugin.
    :param function: Function from the matrix to the number, such as those of
        :mod:`cl_strategies.plugins.metrics.functional`.
    :param name: Name of the metric in the logs.
    """

    def __init__(
        self, *, matrix: AccuracyMatrix, function: Callable[[Matrix], float], name: str
    ) -> None:
        super().__init__()
        self.matrix = matrix
        self.function = function
        self.name = name

    def result(self) -> float:
        """Return the current value; NaN while it is undefined."""
        matrix = self.matrix.matrix
        return self.function(matrix) if matrix.size else math.nan

    def reset(self) -> None:
        """Do nothing: the state is that of the matrix."""

    def after_eval(self, strategy: TrainingStrategy) -> MetricValue | None:
        if not self.matrix.evaluated:
            return None
        name = f"{self}/eval_phase/{self.matrix.stream}_stream"
        return MetricValue(self, name, self.result(), strategy.clock.train_iterations)

    def __str__(self) -> str:
        return self.name


@hyperparameters
class AverageAccuracy(MatrixMetric):
    """Log :func:`~cl_strategies.plugins.metrics.functional.average_accuracy`."""

    def __init__(self, *, matrix: Annotated[AccuracyMatrix, _READ]) -> None:
        super().__init__(
            matrix=matrix, function=functional.average_accuracy, name="Average_Accuracy"
        )


@hyperparameters
class BackwardTransfer(MatrixMetric):
    """Log :func:`~cl_strategies.plugins.metrics.functional.backward_transfer`."""

    def __init__(self, *, matrix: Annotated[AccuracyMatrix, _READ]) -> None:
        super().__init__(
            matrix=matrix, function=functional.backward_transfer, name="Backward_Transfer"
        )


@hyperparameters
class Forgetting(MatrixMetric):
    """Log :func:`~cl_strategies.plugins.metrics.functional.forgetting`."""

    def __init__(
        self,
        *,
        matrix: Annotated[AccuracyMatrix, _READ],
        relative: Annotated[bool, Doc("Divide each drop by the best accuracy.")] = False,
    ) -> None:
        super().__init__(
            matrix=matrix,
            function=partial(functional.forgetting, relative=relative),
            name="Relative_Forgetting" if relative else "Forgetting",
        )


@hyperparameters
class AverageIncrementalAccuracy(MatrixMetric):
    """Log :func:`~cl_strategies.plugins.metrics.functional.average_incremental_accuracy`."""

    def __init__(
        self, *, matrix: Annotated[AccuracyMatrix, _READ], weighted: Weighted = False
    ) -> None:
        def value(table: Matrix) -> float:
            seen = table[:, : len(table)]
            sizes = matrix.sizes[: seen.shape[1]] if weighted else None
            if sizes is not None and 0 in sizes:
                return math.nan
            return functional.average_incremental_accuracy(seen, sizes)

        super().__init__(matrix=matrix, function=value, name="Average_Incremental_Accuracy")


@hyperparameters
class LearningAccuracy(MatrixMetric):
    """Log :func:`~cl_strategies.plugins.metrics.functional.learning_accuracy`."""

    def __init__(self, *, matrix: Annotated[AccuracyMatrix, _READ]) -> None:
        super().__init__(
            matrix=matrix, function=functional.learning_accuracy, name="Learning_Accuracy"
        )


@hyperparameters
class AccuracySpread(MatrixMetric):
    """Log :func:`~cl_strategies.plugins.metrics.functional.accuracy_spread`."""

    def __init__(self, *, matrix: Annotated[AccuracyMatrix, _READ]) -> None:
        super().__init__(matrix=matrix, function=functional.accuracy_spread, name="Accuracy_Spread")


@hyperparameters
def cl_metrics(*, stream: Stream = "test", weighted: Weighted = False) -> list[PluginMetric[Any]]:
    """Return one accuracy matrix and every metric of this module that reads it.

    :param stream: as for :class:`AccuracyMatrix`.
    :param weighted: as for :class:`AverageIncrementalAccuracy`.
    :returns: metrics for Avalanche's ``EvaluationPlugin``; the first is the
        :class:`AccuracyMatrix`.
    """
    matrix = AccuracyMatrix(stream=stream)
    return [
        matrix,
        AverageAccuracy(matrix=matrix),
        BackwardTransfer(matrix=matrix),
        Forgetting(matrix=matrix),
        AverageIncrementalAccuracy(matrix=matrix, weighted=weighted),
        LearningAccuracy(matrix=matrix),
        AccuracySpread(matrix=matrix),
    ]


def _stream_length(experience: Any) -> int:
    """Count the experiences of the whole stream, even if ``experience`` is from a slice of it."""
    stream = experience.origin_stream
    if getattr(stream, "slice_ids", None) is None:
        return len(stream) if hasattr(stream, "__len__") else 0
    whole = getattr(stream.benchmark, "streams", {}).get(stream.name)
    return len(whole) if whole is not None else max(stream.slice_ids) + 1

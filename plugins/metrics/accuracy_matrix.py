"""The accuracy matrix as an evaluation plugin, and the metrics that are functions of it.

``EvaluationPlugin(cl_metrics(), loggers=[...])`` is all a script needs. The matrix counts on the
device of the model and waits for it once per evaluated experience.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks.scenarios.online import OnlineCLExperience
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from avalanche.evaluation.metric_utils import get_metric_name, stream_type
from avalanche.training.supervised import JointTraining

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics import functional
from cl_strategies.plugins.metrics.functional import Matrix


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

    :param stream: name of the stream whose evaluations count; others are ignored.
    :ivar latest: what the latest evaluation measured, by test experience, in its order.
    """

    def __init__(self, *, stream: str = "test") -> None:
        super().__init__()
        self.stream = stream
        self.reset()

    def reset(self) -> None:
        """Forget everything measured so far."""
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
        """The same as :attr:`matrix`."""
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

    def before_training_exp(self, strategy: Any) -> None:
        if isinstance(strategy, JointTraining):
            self._trained += [_logged_index(exp) for exp in strategy._experiences]
            return
        experience = strategy.experience
        if not isinstance(experience, OnlineCLExperience):
            self._trained.append(experience.current_experience)
        elif experience.is_first_subexp:
            whole = experience.origin_experience
            self._trained.append(len(self._trained) if whole is None else _logged_index(whole))

    def before_eval(self, strategy: Any) -> None:
        self.latest = {}

    def before_eval_exp(self, strategy: Any) -> None:
        self._active = stream_type(strategy.experience) == self.stream
        self._correct = torch.zeros((), dtype=torch.int64, device=strategy.device)
        self._total = 0

    def after_eval_iteration(self, strategy: Any) -> None:
        if self._active:
            labels = strategy.mb_y if strategy.mb_y.ndim == 1 else strategy.mb_y.argmax(1)
            self._correct += (strategy.mb_output.argmax(1) == labels).sum()
            self._total += len(labels)

    def after_eval_exp(self, strategy: Any) -> MetricValue | None:
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
        """Everything measured, as plain data."""
        return {
            "stream": self.stream,
            "trained": list(self._trained),
            "columns": self._columns,
            "cells": [[row, column, value] for (row, column), value in self._cells.items()],
            "sizes": [[column, size] for column, size in self._sizes.items()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

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

    :param matrix: the matrix to read; it must stand before this metric in the evaluation plugin.
    :param function: matrix -> number, from :mod:`cl_strategies.plugins.metrics.functional`.
    :param name: name in the logs.
    """

    def __init__(
        self, matrix: AccuracyMatrix, function: Callable[[Matrix], float], name: str
    ) -> None:
        super().__init__()
        self.matrix = matrix
        self.function = function
        self.name = name

    def result(self) -> float:
        """The current value; NaN while it is undefined."""
        matrix = self.matrix.matrix
        return self.function(matrix) if matrix.size else math.nan

    def reset(self) -> None:
        """Nothing to reset: the state is the matrix's."""

    def after_eval(self, strategy: Any) -> MetricValue | None:
        if not self.matrix.evaluated:
            return None
        name = f"{self}/eval_phase/{self.matrix.stream}_stream"
        return MetricValue(self, name, self.result(), strategy.clock.train_iterations)

    def __str__(self) -> str:
        return self.name


class AverageAccuracy(MatrixMetric):
    """:func:`~cl_strategies.plugins.metrics.functional.average_accuracy`."""

    def __init__(self, matrix: AccuracyMatrix) -> None:
        super().__init__(matrix, functional.average_accuracy, "Average_Accuracy")


class BackwardTransfer(MatrixMetric):
    """:func:`~cl_strategies.plugins.metrics.functional.backward_transfer`."""

    def __init__(self, matrix: AccuracyMatrix) -> None:
        super().__init__(matrix, functional.backward_transfer, "Backward_Transfer")


class Forgetting(MatrixMetric):
    """:func:`~cl_strategies.plugins.metrics.functional.forgetting`.

    :param relative: as a share of the best accuracy.
    """

    def __init__(self, matrix: AccuracyMatrix, *, relative: bool = False) -> None:
        name = "Relative_Forgetting" if relative else "Forgetting"
        super().__init__(matrix, lambda a: functional.forgetting(a, relative=relative), name)


class AverageIncrementalAccuracy(MatrixMetric):
    """:func:`~cl_strategies.plugins.metrics.functional.average_incremental_accuracy`.

    :param weighted: weight each experience by its number of test samples.
    """

    def __init__(self, matrix: AccuracyMatrix, *, weighted: bool = False) -> None:
        def value(table: Matrix) -> float:
            seen = table[:, : len(table)]
            sizes = matrix.sizes[: seen.shape[1]] if weighted else None
            if sizes is not None and 0 in sizes:
                return math.nan
            return functional.average_incremental_accuracy(seen, sizes)

        super().__init__(matrix, value, "Average_Incremental_Accuracy")


class LearningAccuracy(MatrixMetric):
    """:func:`~cl_strategies.plugins.metrics.functional.learning_accuracy`."""

    def __init__(self, matrix: AccuracyMatrix) -> None:
        super().__init__(matrix, functional.learning_accuracy, "Learning_Accuracy")


def cl_metrics(*, stream: str = "test", weighted: bool = False) -> list[PluginMetric[Any]]:
    """One accuracy matrix and every metric of this module that reads it.

    :param stream: name of the stream whose evaluations count.
    :param weighted: weight the average incremental accuracy by test-set size.
    :return: metrics for Avalanche's ``EvaluationPlugin``; the first is the :class:`AccuracyMatrix`.
    """
    matrix = AccuracyMatrix(stream=stream)
    return [
        matrix,
        AverageAccuracy(matrix),
        BackwardTransfer(matrix),
        Forgetting(matrix),
        AverageIncrementalAccuracy(matrix, weighted=weighted),
        LearningAccuracy(matrix),
    ]


def _logged_index(experience: Any) -> int:
    with experience.no_attribute_masking():
        return int(experience.current_experience)


def _stream_length(experience: Any) -> int:
    """Experiences in the whole stream, also when ``experience`` comes from a slice of it."""
    stream = experience.origin_stream
    if getattr(stream, "slice_ids", None) is None:
        return len(stream) if hasattr(stream, "__len__") else 0
    whole = getattr(stream.benchmark, "streams", {}).get(stream.name)
    return len(whole) if whole is not None else max(stream.slice_ids) + 1

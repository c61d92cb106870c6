"""Metrics of the predictions of an evaluation: per class, between tasks, by recency, calibration.

``EvaluationPlugin(prediction_metrics(), loggers=[...])`` is all a script needs.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from typing_extensions import Doc

from cl_strategies.plugins.metrics import functional
from cl_strategies.plugins.metrics.accuracy_matrix import Stream
from cl_strategies.plugins.metrics.stream_predictions import (
    Competing,
    Predictions,
    StreamPredictions,
)
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters

_READ = Doc("Predictions to read, which stand before this metric in the evaluation plugin.")
Bins = Annotated[int, Ge(1), Doc("Number of bins of the calibration error.")]
_NONE = np.zeros(0, dtype=np.int64)


class PredictionMetric(PluginMetric[dict[str, float]]):
    """Numbers computed from :class:`StreamPredictions` after every evaluation of its stream.

    Undefined values are emitted as NaN.

    :param predictions: Predictions to read; they must stand before this metric in the evaluation
        plugin.
    """

    def __init__(self, *, predictions: StreamPredictions) -> None:
        super().__init__()
        self.predictions = predictions

    def values(self, latest: Predictions) -> dict[str, float]:
        """Return the numbers, by their names in the logs."""
        raise NotImplementedError

    def result(self) -> dict[str, float]:
        """Return the numbers of the latest evaluation; none if it had no samples that count."""
        latest = self.predictions.latest
        return {} if latest is None else self.values(latest)

    def reset(self) -> None:
        """Do nothing: the state is that of the predictions."""

    def after_eval(self, strategy: TrainingStrategy) -> list[MetricValue]:
        where = f"eval_phase/{self.predictions.stream}_stream"
        step = strategy.clock.train_iterations
        return [
            MetricValue(self, f"{name}/{where}", value, step)
            for name, value in self.result().items()
        ]

    def __str__(self) -> str:
        return type(self).__name__


@hyperparameters
class ClassAccuracies(PredictionMetric):
    """Log the accuracy on each class, and their mean, which counts every class the same."""

    def __init__(self, *, predictions: Annotated[StreamPredictions, _READ]) -> None:
        super().__init__(predictions=predictions)

    def values(self, latest: Predictions) -> dict[str, float]:
        each = functional.class_accuracy(latest.labels, latest.predictions)
        names = {f"Class_Accuracy/Class{c:03}": float(each[c]) for c in np.unique(latest.labels)}
        mean = functional.mean_class_accuracy(latest.labels, latest.predictions)
        return names | {"Mean_Class_Accuracy": mean}


@hyperparameters
class TaskConfusionErrors(PredictionMetric):
    """Log :func:`~cl_strategies.plugins.metrics.functional.task_confusion_errors`.

    NaN for streams whose experiences share classes or whose tasks are told.
    """

    def __init__(self, *, predictions: Annotated[StreamPredictions, _READ]) -> None:
        super().__init__(predictions=predictions)

    def values(self, latest: Predictions) -> dict[str, float]:
        labels, predicted, tasks = _with_tasks(latest)
        told = latest.task_aware[: len(labels)]
        found = functional.task_confusion_errors(labels, predicted, tasks, task_aware=told)
        return {
            "Within_Task_Error": found.within_task_error,
            "Inter_Task_Error": found.inter_task_error,
            "Task_Prediction": found.task_prediction,
            "Within_Task_Prediction": found.within_task_prediction,
            "Task_Aware_Accuracy": found.task_aware_accuracy,
            "Task_Confusion_Cost": found.task_confusion_cost,
        }


@hyperparameters
class RecencyBias(PredictionMetric):
    """Log :func:`~cl_strategies.plugins.metrics.functional.recency_shares`.

    NaN for streams whose experiences share classes or whose tasks are told.
    """

    def __init__(self, *, predictions: Annotated[StreamPredictions, _READ]) -> None:
        super().__init__(predictions=predictions)

    def values(self, latest: Predictions) -> dict[str, float]:
        found = functional.recency_shares(*_with_tasks(latest), last=latest.last)
        return {
            "Recency_Bias": found.recency_bias,
            "Old_Samples_To_Last_Task": found.old_samples_to_last_task,
        }


@hyperparameters
class CalibrationError(PredictionMetric):
    """Log the calibration error and its floor, the overconfidence and the log-likelihood.

    :func:`~cl_strategies.plugins.metrics.functional.expected_calibration_error`,
    :func:`~cl_strategies.plugins.metrics.functional.calibration_floor`, and the overconfidence also
    apart for the samples of older experiences and of the latest.
    """

    def __init__(
        self, *, predictions: Annotated[StreamPredictions, _READ], bins: Bins = 15
    ) -> None:
        super().__init__(predictions=predictions)
        self.bins = bins

    def values(self, latest: Predictions) -> dict[str, float]:
        confidence, right = latest.confidence, latest.labels == latest.predictions
        new = latest.experience == latest.last
        over = functional.overconfidence
        return {
            "ECE": functional.expected_calibration_error(confidence, right, self.bins),
            "ECE_Floor": functional.calibration_floor(confidence, self.bins),
            "Overconfidence": over(confidence, right),
            "Overconfidence_Old": over(confidence[~new], right[~new]),
            "Overconfidence_New": over(confidence[new], right[new]),
            "Negative_Log_Likelihood": -float(latest.log_probability.mean()),
        }


@hyperparameters
def prediction_metrics(
    *, stream: Stream = "test", competing: Competing = "seen", bins: Bins = 15
) -> list[PluginMetric[Any]]:
    """Return the predictions of a stream and every metric of this module that reads them.

    :param stream: as for :class:`StreamPredictions`.
    :param competing: as for :class:`StreamPredictions`.
    :param bins: as for :class:`CalibrationError`.
    :returns: metrics for Avalanche's ``EvaluationPlugin``; the first is the
        :class:`StreamPredictions`.
    """
    predictions = StreamPredictions(stream=stream, competing=competing)
    return [
        predictions,
        ClassAccuracies(predictions=predictions),
        TaskConfusionErrors(predictions=predictions),
        RecencyBias(predictions=predictions),
        CalibrationError(predictions=predictions, bins=bins),
    ]


def _with_tasks(latest: Predictions) -> tuple[Any, Any, Any]:
    """Return labels, predictions and the task of each class; no samples where tasks are told."""
    if latest.task_of_class is None:
        return _NONE, _NONE, _NONE
    return latest.labels, latest.predictions, latest.task_of_class

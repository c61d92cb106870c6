"""Any metric of torchmetrics in Avalanche's loggers: multi-label tasks, regression, and all others.

``TorchmetricsMetric(metric=MultilabelF1Score(num_labels=20), name="F1")`` in an evaluation plugin
is all a script needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from avalanche.evaluation.metric_utils import get_metric_name, stream_type
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.accuracy_matrix import Stream
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters

Prepare = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def unchanged(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs and targets as they are."""
    return output, target


@hyperparameters
class TorchmetricsMetric(PluginMetric[dict[str, float]]):
    """Log a metric of torchmetrics for each test experience, and for all of an evaluation together.

    The metric is copied; its own state stays as it is. One that has several values, such as a
    value per label or a ``MetricCollection``, is logged under its name with their indices or names.
    What torchmetrics finds undefined it returns as NaN, 0 or a warning of its own: see there.

    :raises UserError: if ``metric`` is none of torchmetrics.
    """

    def __init__(
        self,
        *,
        metric: Annotated[Any, Doc("A ``torchmetrics.Metric`` or ``MetricCollection``.")],
        name: Annotated[str, Doc("Its name in the logs.")],
        stream: Stream = "test",
        prepare: Annotated[
            Prepare,
            Doc("From outputs and targets of a mini-batch to what the metric is given."),
        ] = unchanged,
    ) -> None:
        super().__init__()
        if not isinstance(metric, Metric | MetricCollection):
            raise UserError(
                f"metric must be a torchmetrics.Metric or a MetricCollection; got "
                f"{type(metric).__name__}: give an object, such as MeanSquaredError()"
            )
        self.name, self.stream, self.prepare = name, stream, prepare
        self._experience, self._whole = metric.clone(), metric.clone()
        self._active = False
        self.reset()

    def reset(self) -> None:
        """Discard everything measured so far."""
        self._samples = {"experience": 0, "whole": 0}
        self._experience.reset()
        self._whole.reset()

    def result(self) -> dict[str, float]:
        """Return the values over the latest evaluation, by name; none before the first."""
        return _values(self.name, self._whole.compute()) if self._samples["whole"] else {}

    def before_eval(self, strategy: TrainingStrategy) -> None:
        self.reset()
        self._experience.to(strategy.device)
        self._whole.to(strategy.device)

    def before_eval_exp(self, strategy: TrainingStrategy) -> None:
        self._active = stream_type(strategy.experience) == self.stream
        self._experience.reset()
        self._samples["experience"] = 0

    def after_eval_iteration(self, strategy: TrainingStrategy) -> None:
        if not self._active:
            return
        output, target = self.prepare(strategy.mb_output.detach(), strategy.mb_y)
        self._experience.update(output, target)
        self._whole.update(output, target)
        for part in self._samples:
            self._samples[part] += len(target)

    def after_eval_exp(self, strategy: TrainingStrategy) -> list[MetricValue] | None:
        if not self._active or not self._samples["experience"]:
            return None
        self._active = False
        place = get_metric_name("", strategy, add_experience=True, add_task=True)
        return self._logged(_values(self.name, self._experience.compute()), place, strategy)

    def after_eval(self, strategy: TrainingStrategy) -> list[MetricValue] | None:
        found = self.result()
        if not found:
            return None
        return self._logged(found, f"/eval_phase/{self.stream}_stream", strategy)

    def _logged(
        self, values: Mapping[str, float], place: str, strategy: TrainingStrategy
    ) -> list[MetricValue]:
        step = strategy.clock.train_iterations
        return [MetricValue(self, f"{name}{place}", value, step) for name, value in values.items()]

    def __str__(self) -> str:
        return self.name


def _values(name: str, found: Any) -> dict[str, float]:
    if isinstance(found, Mapping):
        parts = [_values(f"{name}/{key}", value) for key, value in found.items()]
    elif isinstance(found, list | tuple):
        parts = [_values(f"{name}/{key}", value) for key, value in enumerate(found)]
    else:
        numbers = found.detach().flatten().tolist() if isinstance(found, Tensor) else [found]
        if len(numbers) == 1:
            return {name: float(numbers[0])}
        parts = [{f"{name}/{key}": float(value)} for key, value in enumerate(numbers)]
    return {key: value for part in parts for key, value in part.items()}

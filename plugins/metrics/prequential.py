"""Accuracy on what comes next in an online stream, before it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge
from avalanche.benchmarks.scenarios.online import OnlineCLExperience
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from avalanche.evaluation.metric_utils import stream_type
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.accuracy_matrix import Stream
from cl_strategies.plugins.metrics.functional.online import online_accuracy
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class PrequentialAccuracy(PluginMetric[float]):
    """Accuracy of evaluations of the train stream itself, each before its samples are trained.

    A script tests the next part of the stream, then trains it: :func:`evaluate_then_train` is that
    loop. Evaluations of anything but parts of an online stream are ignored.

    Testing the part that comes next is online accuracy (Cai et al., ICCV 2021); testing the one
    ``delay`` parts later is near-future accuracy (Hammoud et al., ICCV 2023), which labels that
    repeat from one part to the next cannot raise. Beside it stands what a blind classifier gets
    that predicts, without a look at a sample, the label of the newest one that was trained.

    Parts that are evaluated before any training count for neither. Values are emitted after
    every evaluation of the stream, over all of it so far.

    :ivar delay: parts between the newest trained one and the one that was tested, ``None`` before
        the first test.
    """

    def __init__(self, *, stream: Stream = "train") -> None:
        super().__init__()
        self.stream = stream
        self.reset()

    def reset(self) -> None:
        """Discard everything measured so far."""
        self.delay: int | None = None
        self._trained, self._newest = 0, -1
        self._labels: list[int] = []
        self._predicted: list[int] = []
        self._blind: list[int] = []
        self._batches: list[Tensor] = []
        self._active = False

    def result(self) -> float:
        """Return the accuracy so far; NaN before the first test."""
        return online_accuracy(self._labels, self._predicted)

    @property
    def blind(self) -> float:
        """Accuracy of predicting the newest trained label for the same samples."""
        return online_accuracy(self._labels, self._blind)

    @property
    def records(self) -> dict[str, list[int]]:
        """Labels, predictions and blind predictions of the tested samples, in their order."""
        return {
            "labels": list(self._labels),
            "predictions": list(self._predicted),
            "blind": list(self._blind),
        }

    def before_training_exp(self, strategy: TrainingStrategy) -> None:
        self._trained = int(strategy.experience.current_experience) + 1

    def after_training_exp(self, strategy: TrainingStrategy) -> None:
        self._newest = int(strategy.experience.dataset.targets[-1])

    def before_eval_exp(self, strategy: TrainingStrategy) -> None:
        experience = strategy.experience
        self._batches = []
        part = isinstance(experience, OnlineCLExperience) and stream_type(experience) == self.stream
        self._active = part and self._trained > 0
        if not self._active:
            return
        position = int(experience.current_experience)
        delay = position - self._trained
        if delay < 0 or self.delay not in (None, delay):
            expected = "at least 0" if self.delay is None else f"{self.delay} as before"
            raise UserError(
                f"part {position} is tested when {self._trained} parts are trained, a "
                f"delay of {delay}; it must be {expected}: test each part before it is trained, "
                "always as many parts ahead"
            )
        self.delay = delay

    def after_eval_iteration(self, strategy: TrainingStrategy) -> None:
        if self._active:
            labels = strategy.mb_y if strategy.mb_y.ndim == 1 else strategy.mb_y.argmax(1)
            self._batches.append(torch.stack([labels, strategy.mb_output.argmax(1)]))

    def after_eval_exp(self, strategy: TrainingStrategy) -> None:
        if self._active and self._batches:
            labels, predicted = torch.cat(self._batches, dim=1).tolist()
            self._labels += labels
            self._predicted += predicted
            self._blind += [self._newest] * len(labels)
        self._batches = []

    def after_eval(self, strategy: TrainingStrategy) -> list[MetricValue] | None:
        if not self._active:
            return None
        self._active = False
        at = strategy.clock.train_iterations
        name = "Online_Accuracy" if not self.delay else f"Near_Future_Accuracy_{self.delay}_parts"
        return [
            MetricValue(self, f"{name}/{self.stream}_stream", self.result(), at),
            MetricValue(self, f"Blind_{name}/{self.stream}_stream", self.blind, at),
        ]

    def __str__(self) -> str:
        return "Prequential_Accuracy"


@hyperparameters
def evaluate_then_train(
    strategy: Any,
    stream: Sequence[Any],
    /,
    *,
    delay: Annotated[int, Ge(0), Doc("Parts between the newest trained one and the tested.")] = 0,
) -> None:
    """Test the part of an online stream that comes ``delay`` after the next one, train the next.

    Parts beyond the end are not tested. What is trained is the same as without a test: random
    numbers that an evaluation draws are PyTorch's own, and given back.

    :param strategy: with :class:`PrequentialAccuracy` in its evaluator.
    :param stream: the train stream of an online benchmark.
    """
    devices = [strategy.device] if strategy.device.type == "cuda" else []
    for position in range(len(stream)):
        if position + delay < len(stream):
            with torch.random.fork_rng(devices=devices):
                strategy.eval([stream[position + delay]])
        strategy.train(stream[position])

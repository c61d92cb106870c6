"""Continual evaluation (De Lange, van de Ven and Tuytelaars, ICLR 2023) as an Avalanche plugin."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metric_results import MetricValue
from avalanche.models.utils import is_multi_task_module
from avalanche.training.supervised import JointTraining

from cl_strategies.errors import UserError
from cl_strategies.plugins.classes.class_order import classes_of
from cl_strategies.plugins.continual_evaluation.batches import KeptBatches
from cl_strategies.plugins.continual_evaluation.course import Course
from cl_strategies.plugins.continual_evaluation.options import TraceOptions
from cl_strategies.plugins.continual_evaluation.sizes import is_whole, sizes_of
from cl_strategies.plugins.continual_evaluation.subsets import draw, index_of, subset_of
from cl_strategies.plugins.continual_evaluation.summary import trace_metrics
from cl_strategies.plugins.continual_evaluation.trace import WHERE, Trace, read_state
from cl_strategies.plugins.continual_evaluation.undisturbed import undisturbed
from cl_strategies.plugins.metrics.trained import experiences_begun
from cl_strategies.plugins.protocols.training import EvaluatingStrategy
from cl_strategies.validation.hyperparameters import build_part, hyperparameters

_HERE = WHERE.index("experience"), WHERE.index("iteration")


@hyperparameters
class ContinualEvaluationPlugin(SupervisedPlugin):
    """Evaluate during training, on small fixed parts of the test sets of experiences seen so far.

    After the first iterations of each experience, then rarely, and once when an experience is
    over, with all that the strategy does at its end; before its first update the new test set
    alone, if that is within the budget. Training is as without the plugin, bit for bit: modes,
    running statistics, gradients and random generators are given back. Put it behind the plugins
    of a method.

    Accuracies and, after each experience, the metrics of
    :func:`~cl_strategies.plugins.continual_evaluation.summary.trace_metrics` go to the loggers of
    the strategy's evaluation plugin. The parts of an online stream's experience are one
    experience. Joint training is not followed: it has no old experiences.

    :param stream: test stream; the test set of a train experience has its place in the stream.
    :ivar trace: what was measured.
    :ivar seconds: spent on evaluations since the plugin was made.
    :raises UserError: for an option out of its range; in training, for an experience without a
        test set, or one that was trained before others.
    """

    parts: ClassVar[Any] = (TraceOptions,)

    def __init__(self, *, stream: Any, **options: Any) -> None:
        self.options: TraceOptions = build_part(TraceOptions, options)
        super().__init__(**options)
        self._tests = {index_of(experience): experience for experience in stream}
        self.reset()

    def reset(self) -> None:
        """Discard everything measured so far."""
        self.trace, self.seconds = Trace(), 0.0
        self._course = Course(self.options)
        self._parts: list[Any] = []  # of the test experiences seen, in the order of training
        self._counts: list[torch.Tensor] | None = None  # of the evaluation that is being done
        self._classes: set[int] = set()
        self._kept = KeptBatches()

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the trace so far; NaN where one is undefined."""
        return trace_metrics(self.trace, window=self.options.window, beta=self.options.beta)

    @property
    def cost(self) -> float:
        """Cost of the evaluations so far as a share of that of training; NaN before it."""
        return self._course.spent / self._course.step if self._course.step else float("nan")

    # ------------------------------------------------------------------ when

    def before_training_exp(self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any) -> None:
        if isinstance(strategy, JointTraining):
            return
        with strategy.experience.no_attribute_masking():
            begun = experiences_begun(strategy, len(self.trace.order))
        if not begun or begun[0] in self.trace.order[-1:]:
            return  # a further part of the experience
        self._begin(strategy, begun[0])

    def _begin(self, strategy: EvaluatingStrategy, index: int) -> None:
        if index not in self._tests or index in self.trace.order:
            what = "was trained before others" if index in self.trace.order else "has no test set"
            raise UserError(
                f"experience {index} {what}: continual evaluation follows a stream that trains "
                "each experience once and has a test set for it; leave the plugin out"
            )
        sizes = sizes_of(strategy)
        size = self._course.choose_size(sizes, len(self._tests))
        indices = draw(self._tests[index], size, self.options.subset_seed)
        self.trace.order.append(index)
        self.trace.subsets.append(indices)
        self._parts.append(subset_of(self._tests[index], indices))
        schedule = self._course.begin(sizes, self.trace.totals)
        self.trace.schedules.append([schedule.dense, schedule.every])
        self._see_classes(strategy)
        self._kept.begin()

    def _see_classes(self, strategy: EvaluatingStrategy) -> None:
        classes = set(classes_of(strategy.experience))
        new = bool(self._classes) and not classes <= self._classes
        if new or (is_multi_task_module(strategy.model) and self._classes):
            self.trace.zero_shot = False
        self._classes |= classes

    def before_training_iteration(
        self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        course = self._course
        if course.schedule is not None and not course.iteration and course.looks_ahead:
            self._evaluate(strategy, self._parts[-1:])

    def after_training_iteration(
        self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        if self._course.advance(len(strategy.mb_y)):
            self._evaluate(strategy, self._parts)

    def after_training_epoch(self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any) -> None:
        self._course.epoch += 1

    def after_training_exp(self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any) -> None:
        begun = self._course.schedule is not None and self._course.iteration > 0
        self._course.over = begun and is_whole(strategy.experience)

    def after_training(self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any) -> None:
        self._conclude(strategy)

    def before_train_dataset_adaptation(
        self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        self._conclude(strategy)  # of several experiences that one call trains

    def _conclude(self, strategy: EvaluatingStrategy) -> None:
        """Evaluate what an experience has left, with all that the strategy did at its end."""
        if not self._course.over:
            return
        here = [len(self._parts) - 1, self._course.iteration]
        if self.trace.where and [self.trace.where[-1][k] for k in _HERE] == here:
            del self.trace.where[-1], self.trace.correct[-1]  # it ended earlier than planned
        self._evaluate(strategy, self._parts)
        self._course.schedule, self._course.over = None, False
        for name, value in self.metrics().items():
            self._publish(strategy, name, value)

    # ------------------------------------------------------------------ what

    def _evaluate(self, strategy: EvaluatingStrategy, parts: list[Any]) -> None:
        began, course = time.perf_counter(), self._course
        self._counts = []
        try:
            with undisturbed(strategy), self._kept.given_to(strategy):
                strategy.eval(parts)
            counts = torch.stack(self._counts).tolist()
        finally:
            self._counts = None
        first = len(self._parts) - len(parts)
        epoch = min(course.epoch, strategy.train_epochs - 1)
        self.trace.where.append(
            [len(self._parts) - 1, epoch, course.iteration, course.step, course.samples]
        )
        self.trace.correct.append([-1] * first + counts)
        totals = self.trace.totals[first:]
        course.pay(totals, strategy.train_mb_size)
        self.seconds += time.perf_counter() - began
        for index, right, total in zip(self.trace.order[first:], counts, totals, strict=True):
            self._publish(strategy, f"Accuracy/Exp{index:03}", right / total)

    def before_eval_exp(self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any) -> None:
        if self._counts is not None:
            self._counts.append(torch.zeros((), dtype=torch.int64, device=strategy.device))

    def after_eval_iteration(self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any) -> None:
        if self._counts is not None:
            labels = strategy.mb_y if strategy.mb_y.ndim == 1 else strategy.mb_y.argmax(1)
            self._counts[-1] += (strategy.mb_output.argmax(1) == labels).sum()

    def _publish(self, strategy: EvaluatingStrategy, name: str, value: float) -> None:
        metric = MetricValue(self, f"Continual_Evaluation/{name}", value, self._course.step)
        strategy.evaluator.publish_metric_value(metric)

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured and drawn, as one text: no tensor, and no state of a method."""
        content = {
            "options": vars(self.options),
            "trace": vars(self.trace),
            "course": self._course.state(),
            "classes": sorted(self._classes),
        }
        return {"trace": json.dumps(content)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned.

        :raises UserError: if it is of other options or another test stream.
        """
        self.reset()
        content = read_state(state, vars(self.options))
        self.trace = content["trace"]
        for index, indices in zip(self.trace.order, self.trace.subsets, strict=True):
            if index not in self._tests or max(indices) >= len(self._tests[index].dataset):
                raise UserError(
                    f"the state has samples of a test set {index} that the stream does not have: "
                    "give the stream that it was recorded on"
                )
            self._parts.append(subset_of(self._tests[index], indices))
        self._course.restore(content["course"])
        self._classes = set(content["classes"])

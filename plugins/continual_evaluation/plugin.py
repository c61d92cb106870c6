"""Continual evaluation (De Lange, van de Ven and Tuytelaars, ICLR 2023) as an Avalanche plugin."""

from __future__ import annotations

import json
import logging
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
from cl_strategies.plugins.continual_evaluation.options import TraceOptions
from cl_strategies.plugins.continual_evaluation.schedule import (
    Schedule,
    affordable_samples,
    cost_of,
    within_budget,
)
from cl_strategies.plugins.continual_evaluation.sizes import is_whole, sizes_of
from cl_strategies.plugins.continual_evaluation.subsets import draw, index_of, subset_of
from cl_strategies.plugins.continual_evaluation.summary import trace_metrics
from cl_strategies.plugins.continual_evaluation.trace import WHERE, Trace, read_state
from cl_strategies.plugins.continual_evaluation.undisturbed import undisturbed
from cl_strategies.plugins.metrics.trained import experiences_begun
from cl_strategies.plugins.protocols.training import EvaluatingStrategy
from cl_strategies.validation.hyperparameters import build_part, hyperparameters

logger = logging.getLogger("cl_strategies.continual_evaluation")

ITERATION = WHERE.index("iteration")
_COUNTERS = ("size", "iteration", "step", "samples", "epoch", "end", "spent")


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
        self._size: int | None = None  # of a sub-sample
        self._parts: list[Any] = []  # of the test experiences seen, in the order of training
        self._iteration = self._step = self._samples = self._epoch = 0
        self._end: int | None = None  # last iteration of the experience, if known
        self._spent = 0.0  # cost of evaluations, in training iterations
        self._schedule: Schedule | None = None  # within an experience
        self._over = False  # whether the experience is, and was not evaluated yet
        self._counts: list[torch.Tensor] | None = None  # of the evaluation that is being done
        self._classes: set[int] = set()
        self._kept = KeptBatches()
        self._warned = self._looks_ahead = False

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the trace so far; NaN where one is undefined."""
        return trace_metrics(self.trace, window=self.options.window, beta=self.options.beta)

    @property
    def cost(self) -> float:
        """Cost of the evaluations so far as a share of that of training; NaN before it."""
        return self._spent / self._step if self._step else float("nan")

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
        options, sizes = self.options, sizes_of(strategy)
        if self._size is None:
            self._size = options.samples or affordable_samples(
                cost=options.cost, experiences=len(self._tests), **sizes
            )
        indices = draw(self._tests[index], self._size, options.subset_seed)
        self.trace.order.append(index)
        self.trace.subsets.append(indices)
        self._parts.append(subset_of(self._tests[index], indices))
        self._schedule, self._end = self._planned(sizes), sizes["iterations"]
        self.trace.schedules.append([self._schedule.dense, self._schedule.every])
        self._see_classes(strategy)
        self._kept.begin()
        self._iteration = self._epoch = 0

    def _planned(self, sizes: Mapping[str, Any]) -> Schedule:
        options, totals = self.options, self.trace.totals
        self._looks_ahead = True
        if options.every is not None:
            return Schedule(options.dense, options.every)
        plan = within_budget(cost=options.cost, dense=options.dense, sizes=totals, **sizes)
        share = plan.share(totals, **sizes)
        self._looks_ahead = share <= 1.001 * options.cost
        if not self._looks_ahead and not self._warned:
            self._warned = True
            logger.warning(
                "the first and the last iteration of experience %d cost %.0f %% of its training by "
                "themselves, above the %.0f %% that cost allows; so they do in later experiences",
                self.trace.order[-1],
                100 * share,
                100 * options.cost,
            )
        return plan

    def _see_classes(self, strategy: EvaluatingStrategy) -> None:
        classes = set(classes_of(strategy.experience))
        new = bool(self._classes) and not classes <= self._classes
        if new or (is_multi_task_module(strategy.model) and self._classes):
            self.trace.zero_shot = False
        self._classes |= classes

    def before_training_iteration(
        self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        if self._schedule is not None and not self._iteration and self._looks_ahead:
            self._evaluate(strategy, self._parts[-1:])

    def after_training_iteration(
        self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        if self._schedule is None:
            return
        self._iteration += 1
        self._step += 1
        self._samples += len(strategy.mb_y)
        if self._schedule.due(self._iteration) and self._iteration != self._end:
            self._evaluate(strategy, self._parts)

    def after_training_epoch(self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any) -> None:
        self._epoch += 1

    def after_training_exp(self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any) -> None:
        whole = is_whole(strategy.experience)
        self._over = self._schedule is not None and self._iteration > 0 and whole

    def after_training(self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any) -> None:
        self._conclude(strategy)

    def before_train_dataset_adaptation(
        self, strategy: EvaluatingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        self._conclude(strategy)  # of several experiences that one call trains

    def _conclude(self, strategy: EvaluatingStrategy) -> None:
        """Evaluate what an experience has left, with all that the strategy did at its end."""
        if not self._over:
            return
        if self.trace.where[-1][ITERATION] == self._iteration:  # it ended earlier than planned
            del self.trace.where[-1], self.trace.correct[-1]
        self._evaluate(strategy, self._parts)
        self._schedule, self._over = None, False
        for name, value in self.metrics().items():
            self._publish(strategy, name, value)

    # ------------------------------------------------------------------ what

    def _evaluate(self, strategy: EvaluatingStrategy, parts: list[Any]) -> None:
        began = time.perf_counter()
        self._counts = []
        with undisturbed(strategy), self._kept.given_to(strategy):
            strategy.eval(parts)
        counts = torch.stack(self._counts).tolist()
        self._counts = None
        first = len(self._parts) - len(parts)
        epoch = min(self._epoch, strategy.train_epochs - 1)
        self.trace.where.append(
            [len(self._parts) - 1, epoch, self._iteration, self._step, self._samples]
        )
        self.trace.correct.append([-1] * first + counts)
        totals = self.trace.totals[first:]
        self._spent += cost_of(totals, strategy.train_mb_size)
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
        metric = MetricValue(self, f"Continual_Evaluation/{name}", value, self._step)
        strategy.evaluator.publish_metric_value(metric)

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured and drawn, as one text: no tensor, and no state of a method."""
        schedule = None if self._schedule is None else vars(self._schedule)
        state = {name: getattr(self, f"_{name}") for name in _COUNTERS}
        state |= {"options": vars(self.options), "trace": vars(self.trace), "schedule": schedule}
        return {"trace": json.dumps(state | {"classes": sorted(self._classes)})}

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
        for name in _COUNTERS:
            setattr(self, f"_{name}", content[name])
        self._classes = set(content["classes"])
        self._schedule = None if content["schedule"] is None else Schedule(**content["schedule"])

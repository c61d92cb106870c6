"""Where in the stream a training is, and when it is to be evaluated next."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cl_strategies.plugins.continual_evaluation.options import TraceOptions
from cl_strategies.plugins.continual_evaluation.schedule import (
    TraceSchedule,
    affordable_samples,
    cost_of,
    within_budget,
)

logger = logging.getLogger("cl_strategies.continual_evaluation")

_COUNTERS = ("size", "iteration", "step", "samples", "epoch", "end", "spent")


@dataclass
class Course:
    """The course of a training.

    :ivar options: how often to evaluate.
    :ivar size: of a sub-sample; ``None`` before the first experience.
    :ivar iteration: done within the experience.
    :ivar step: iterations of the whole run.
    :ivar samples: trained in the whole run.
    :ivar epoch: of the experience, from 0.
    :ivar end: last iteration of the experience, if known.
    :ivar spent: cost of the evaluations so far, in training iterations.
    :ivar schedule: of the experience; ``None`` between two.
    :ivar looks_ahead: whether the new test set is evaluated before the first update.
    :ivar over: whether the experience is over and its end was not evaluated yet.
    """

    options: TraceOptions
    size: int | None = None
    iteration: int = 0
    step: int = 0
    samples: int = 0
    epoch: int = 0
    end: int | None = None
    spent: float = 0.0
    schedule: TraceSchedule | None = None
    looks_ahead: bool = True
    over: bool = False
    _warned: bool = field(default=False, repr=False)

    def choose_size(self, sizes: Mapping[str, Any], experiences: int) -> int:
        """Return the samples of a sub-sample, which stay what they are in the first experience.

        :param sizes: of the training of the first experience.
        :param experiences: test sets in the end.
        """
        if self.size is None:
            self.size = self.options.samples or affordable_samples(
                cost=self.options.cost, experiences=experiences, **sizes
            )
        return self.size

    def begin(self, sizes: Mapping[str, Any], totals: Sequence[int]) -> TraceSchedule:
        """Plan an experience.

        :param sizes: ``iterations`` of its training, ``None`` if not known, and ``batch_size``.
        :param totals: samples of the test sets, the newest last.
        """
        self.iteration = self.epoch = 0
        self.end = sizes["iterations"]
        options, self.looks_ahead = self.options, True
        if options.every is not None:
            self.schedule = TraceSchedule(options.dense, options.every)
            return self.schedule
        plan = within_budget(cost=options.cost, dense=options.dense, sizes=totals, **sizes)
        share = plan.share(totals, **sizes)
        self.looks_ahead = share <= 1.001 * options.cost
        if not self.looks_ahead and not self._warned:
            self._warned = True
            logger.warning(
                "the first and the last iteration of an experience with %d test sets cost %.0f %% "
                "of its training, above the %.0f %% that cost allows; so they do in later ones",
                len(totals),
                100 * share,
                100 * options.cost,
            )
        self.schedule = plan
        return plan

    def advance(self, samples: int) -> bool:
        """Count an iteration, and return whether to evaluate after it."""
        if self.schedule is None:
            return False
        self.iteration += 1
        self.step += 1
        self.samples += samples
        return self.schedule.due(self.iteration) and self.iteration != self.end

    def pay(self, totals: Sequence[int], batch_size: int) -> None:
        """Count an evaluation of test sets of these sizes."""
        self.spent += cost_of(totals, batch_size)

    def state(self) -> dict[str, Any]:
        """Return what a continued training needs, as plain data."""
        schedule = None if self.schedule is None else vars(self.schedule)
        return {name: getattr(self, name) for name in _COUNTERS} | {"schedule": schedule}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        for name in _COUNTERS:
            setattr(self, name, state[name])
        schedule = state["schedule"]
        self.schedule = None if schedule is None else TraceSchedule(**schedule)

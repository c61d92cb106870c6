"""When to evaluate during training: densely after a switch, then rarely, within a budget.

The lowest accuracy on an old experience is reached within the first iterations of a new one, so
that an even schedule can miss it. A forward pass is counted as a third of a training step: a point
at which ``m`` samples of each of ``k`` test sets are evaluated costs ``k m / (3 B)`` iterations
with ``B`` samples. That is of large networks; small ones take their time whatever the number of
samples, so that a test set is counted as one iteration at least.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Forward passes that a training step is counted as: forward, backward, and the update.
STEP = 3
#: Least cost of a test set, in training iterations.
OVERHEAD = 1
#: Points within an experience that the size of sub-samples leaves room for.
POINTS = 6
#: The largest and the smallest sub-sample that is chosen if none is given.
MOST, LEAST = 200, 20


@dataclass(frozen=True)
class TraceSchedule:
    """At which iterations of an experience to evaluate; the last one always is one of them.

    :ivar dense: evaluate after each iteration up to this one, at least the first.
    :ivar every: after those, evaluate after every so many.
    """

    dense: int
    every: int

    def due(self, iteration: int) -> bool:
        """Return whether to evaluate after this iteration, counted from 1."""
        if iteration <= self.dense:
            return True
        return (iteration - self.dense) % self.every == 0

    def points(self, iterations: int) -> int:
        """Return the number of points of an experience with so many iterations."""
        dense = min(self.dense, iterations)
        rest = iterations - dense
        return dense + rest // self.every + (rest % self.every > 0)

    def share(self, sizes: Sequence[int], *, iterations: int | None, batch_size: int) -> float:
        """Return what the points of an experience cost, as a share of its training; 0 if its length
        is not known.

        :param sizes: samples of the test sets, the newest last, which has one more point.
        """
        if iterations is None:
            return 0.0
        spent = self.points(iterations) * cost_of(sizes, batch_size)
        return (spent + cost_of(sizes[-1:], batch_size)) / iterations


def cost_of(sizes: Iterable[int], batch_size: int) -> float:
    """Return what evaluating test sets of these sizes costs, in training iterations."""
    return sum(max(OVERHEAD, samples / (STEP * batch_size)) for samples in sizes)


def within_budget(
    *, cost: float, iterations: int | None, batch_size: int, sizes: Sequence[int], dense: int
) -> TraceSchedule:
    """Return the schedule that evaluates as often as the budget allows.

    Half of the points, and ``dense`` at most, are the first iterations; the others are evenly
    spaced. The first and the last iteration are evaluated whatever they cost.

    :param cost: share of the cost of the training of the experience.
    :param iterations: of that training; ``None`` if not known: the period then keeps the budget
        from the second point on.
    :param batch_size: samples of a training step.
    :param sizes: samples of the test sets, the newest last.
    :param dense: the most first iterations that are evaluated one by one.
    """
    point = cost_of(sizes, batch_size)
    if iterations is None:
        return TraceSchedule(1, max(1, math.ceil(point / cost)))
    left = cost * iterations - cost_of(sizes[-1:], batch_size)
    points = max(2, math.floor(left / point + 1e-9))
    first = min(dense, max(1, points // 2), iterations)
    return TraceSchedule(first, max(1, math.ceil((iterations - first) / (points - first))))


def affordable_samples(
    *, cost: float, iterations: int | None, batch_size: int, experiences: int
) -> int:
    """Return the size of a sub-sample with which the last experience still has some points.

    :param cost: share of the cost of training.
    :param iterations: of the training of one experience; ``None`` if not known.
    :param batch_size: samples of a training step.
    :param experiences: test sets in the end.
    """
    if iterations is None:
        return MOST
    each = max(OVERHEAD, cost * iterations / (experiences * POINTS + 1))
    return max(LEAST, min(MOST, int(each * STEP * batch_size + 1e-9)))

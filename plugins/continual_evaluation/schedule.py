"""When to evaluate during training: densely after a switch, then rarely, within a budget.

The lowest accuracy on an old experience is reached within the first iterations of a new one, so
that an even schedule can miss it. A forward pass is counted as a third of a training step: a point
at which ``m`` samples of each of ``k`` test sets are evaluated costs ``k m / (3 B)`` iterations
with ``B`` samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Forward passes that a training step is counted as: forward, backward, and the update.
STEP = 3
#: Points within an experience that the size of sub-samples leaves room for.
POINTS = 6
#: The largest and the smallest sub-sample that is chosen if none is given.
MOST, LEAST = 200, 20


@dataclass(frozen=True)
class Schedule:
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


def within_budget(
    *, cost: float, iterations: int | None, batch_size: int, samples: int, dense: int
) -> Schedule:
    """Return the schedule that evaluates as often as the budget allows.

    Half of the points, and ``dense`` at most, are the first iterations; the others are evenly
    spaced. The first and the last iteration are evaluated whatever they cost.

    :param cost: share of the cost of the training of the experience.
    :param iterations: of that training; ``None`` if not known: the period then keeps the budget
        from the second point on.
    :param batch_size: samples of a training step.
    :param samples: samples of a point, over all test sets.
    :param dense: the most first iterations that are evaluated one by one.
    """
    point = samples / (STEP * batch_size)
    if iterations is None:
        return Schedule(1, max(1, math.ceil(point / cost)))
    points = max(2, math.floor(cost * iterations / point + 1e-9))
    first = min(dense, max(1, points // 2), iterations)
    others = points - first
    return Schedule(first, max(1, math.ceil((iterations - first) / others)))


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
    budget = cost * iterations * STEP * batch_size
    return max(LEAST, min(MOST, int(budget / (experiences * POINTS + 1))))

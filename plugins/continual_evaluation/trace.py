"""The record of evaluations during training: counts at every point, and where that point was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional import Matrix

#: What is known of a point beside its counts, in the order of the columns of ``where``.
WHERE = ("experience", "epoch", "iteration", "step", "samples")
Array = npt.NDArray[np.int64]


@dataclass
class Trace:
    """Evaluations during training.

    A point with ``iteration`` 0 is before the first update of an experience: it has the new test
    set only, and counts for the learning curve alone.

    :ivar order: experiences in the order of their training, by their place in the stream; column
        ``i`` of all tables is the test set of ``order[i]``.
    :ivar subsets: indices of the samples of each column in its test set.
    :ivar where: of each point the position of the experience that is trained, its epoch, the
        iteration within the experience (after which the point is), the iterations and the training
        samples of the whole run so far.
    :ivar correct: of each point the right predictions on each column, -1 where not evaluated.
    :ivar schedules: of each experience ``dense`` and ``every`` of its schedule.
    :ivar zero_shot: whether an accuracy on an experience before its training means something: its
        classes had been trained before, with the same outputs.
    """

    order: list[int] = field(default_factory=list)
    subsets: list[list[int]] = field(default_factory=list)
    where: list[list[int]] = field(default_factory=list)
    correct: list[list[int]] = field(default_factory=list)
    schedules: list[list[int]] = field(default_factory=list)
    zero_shot: bool = True

    @property
    def totals(self) -> list[int]:
        """Samples of each column."""
        return [len(indices) for indices in self.subsets]

    def table(self) -> Array:
        """Return the counts of all points (M, N), -1 where not evaluated."""
        table = np.full((len(self.correct), len(self.order)), -1, dtype=np.int64)
        for row, counts in zip(table, self.correct, strict=True):
            row[: len(counts)] = counts
        return table

    def column(self, name: str) -> Array:
        """Return ``"iteration"`` or another name of :data:`WHERE` of all points (M,)."""
        table = np.array(self.where, dtype=np.int64).reshape(len(self.where), len(WHERE))
        return np.asarray(table[:, WHERE.index(name)])

    # ------------------------------------------------------------------ what metrics read

    @property
    def after_updates(self) -> npt.NDArray[np.bool_]:
        """Which points are after an update."""
        return np.asarray(self.column("iteration") > 0)

    @property
    def points(self) -> Matrix:
        """Accuracies (M', N) at the points after an update; NaN where not evaluated."""
        return self._accuracies()[self.after_updates]

    @property
    def steps(self) -> Array:
        """Iterations of the whole run at these points (M',)."""
        return np.asarray(self.column("step")[self.after_updates])

    @property
    def last_points(self) -> list[int]:
        """Last of these points within each experience."""
        positions = self.column("experience")[self.after_updates]
        return [int(np.flatnonzero(positions == k)[-1]) for k in np.unique(positions)]

    @property
    def curves(self) -> list[Matrix]:
        """Of each experience the accuracy on it after 0, 1, 2, ... of its iterations, as far as
        every one was evaluated; empty if the first was not."""
        accuracies, position = self._accuracies(), self.column("experience")
        iteration, found = self.column("iteration"), []
        for k in range(len(self.order)):
            own = position == k
            unbroken = iteration[own] == np.arange(own.sum())
            length = int(np.argmin(np.append(unbroken, False)))
            found.append(accuracies[own, k][:length])
        return found

    def _accuracies(self) -> Matrix:
        counts = self.table()
        return np.where(counts < 0, np.nan, counts / np.array(self.totals, dtype=np.float64))

    # ------------------------------------------------------------------ state

    @classmethod
    def checked(cls, content: Mapping[str, Any]) -> Trace:
        """Return a trace with these attributes, which somebody may have written by hand.

        :raises ValueError: if they do not belong together.
        """
        trace = cls(**content)
        if type(trace.zero_shot) is not bool:
            raise ValueError("zero_shot is no boolean")
        rows = [*trace.subsets, *trace.where, *trace.correct, *trace.schedules, trace.order]
        if any(type(n) is not int or not -1 <= n < 2**62 for row in rows for n in row):
            raise ValueError("a number is missing, too large, or none")
        sizes = len(trace.where), len(trace.order)
        if sizes != (len(trace.correct), len(trace.subsets)) or len(trace.schedules) > sizes[1]:
            raise ValueError("its parts are of different lengths")
        positions, steps = trace.column("experience"), trace.column("step")
        if (np.diff(positions) < 0).any() or (np.diff(steps) < 0).any():
            raise ValueError("its points are not in the order of training")
        if len(positions) and not 0 <= positions[0] <= positions[-1] < sizes[1]:
            raise ValueError("it has points of experiences that it does not name")
        table, totals = trace.table(), np.array(trace.totals, dtype=np.int64)
        if (table > totals).any() or 0 in totals:
            raise ValueError("more is right than there are samples")
        return trace


def read_state(state: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a plugin's state, with its trace.

    :param options: those of the plugin, which the state must have, too.
    :raises UserError: if it is no such state, or of other options.
    """
    try:
        content = json.loads(state["trace"])
        content["trace"] = Trace.checked(content["trace"])
        recorded, _, _ = (content[name] for name in ("options", "course", "classes"))
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise UserError(
            f"this is not the state of a continual evaluation ({error}): give what state_dict() "
            "returned"
        ) from error
    if recorded != dict(options):
        raise UserError(
            f"the state was recorded with {recorded}, and this plugin has {dict(options)}: give "
            "it the same options"
        )
    found: dict[str, Any] = content
    return found

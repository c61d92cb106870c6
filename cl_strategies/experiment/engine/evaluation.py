"""Which experiences are evaluated after an experience was trained.

All seen so far, after every ``run.evaluate_every``-th experience and after the last; after the
others the new one alone. A strategy whose finished tasks cannot change says so
(``Strategy.fixed_tasks``): then the new one is evaluated, the accuracies of all others are copied,
and the copies are checked: one of them, drawn anew, after each experience, and all of them once the
stream is over. If one is refuted, everything is evaluated from then on, and no copy becomes part of
the result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cl_strategies.experiment.setup.seeding import derive_seed
from cl_strategies.plugins.metrics.accuracy_matrix import AccuracyMatrix

logger = logging.getLogger(__name__)

Row = dict[str, Any]


class Evaluation:
    """The evaluations of one run.

    :param strategy: with ``matrix`` among the metrics of its evaluator.
    :param matrix: what measures.
    :param stream: the test stream.
    :param every: evaluate all experiences seen so far after every ``every``-th.
    :param seed: draws which copies are checked.
    :param told: called after every evaluation, which is then the latest of the metrics.
    :ivar refuted: whether an accuracy that was copied has turned out to be another one.
    """

    def __init__(
        self,
        strategy: Any,
        matrix: AccuracyMatrix,
        stream: Any,
        *,
        every: int,
        seed: int,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self.strategy, self.matrix, self.stream, self.told = strategy, matrix, stream, told
        self.every, self.seed = every, seed
        self.refuted = False
        self._known: list[float | None] = []
        self._anew = False  # whether to evaluate everything once

    def resume(self, rows: Sequence[Row], *, refuted: bool, elsewhere: bool) -> None:
        """Go on after ``rows``.

        :param refuted: as it was after the last of them.
        :param elsewhere: whether this is another machine, whose accuracies may differ by a sample:
            everything is evaluated once, before it is copied.
        :raises TypeError: unless ``refuted`` is a boolean.
        """
        if type(refuted) is not bool:
            raise TypeError(f"it says {refuted!r} about copied accuracies")
        self.refuted, self._anew = refuted, elsewhere
        for row in rows:
            self._note(row["accuracy"])

    def after(self, position: int) -> Row:
        """Evaluate after the experience ``position`` was trained.

        :returns: of the row of that experience ``accuracy``, on each experience up to it, ``None``
            where none was measured; and if some of it is copied ``evaluated``, the others.
        """
        last = position + 1 == len(self.stream)
        if not last and (position + 1) % self.every:
            accuracy = [None] * position + [self._measured([position])[position]]
            self._note(accuracy)
            return {"accuracy": accuracy}
        row = self._copying(position) if self._may_copy(position) else None
        if row is None:
            found = self._measured(range(position + 1))
            row = {"accuracy": [found[i] for i in range(position + 1)]}
        self._anew = False
        self._note(row["accuracy"])
        return row

    def closing(self, row: Row) -> Row:
        """Return the last row of a stream with everything in it measured; the same row if it
        was."""
        missing = sorted({*range(len(row["accuracy"]))} - {*row.get("evaluated", ())})
        if "evaluated" not in row or not missing:
            return row
        found = self._measured(missing)
        self._check(found, row["experience"])
        accuracy = [found.get(i, value) for i, value in enumerate(row["accuracy"])]
        return {key: value for key, value in row.items() if key != "evaluated"} | {
            "accuracy": accuracy
        }

    def _may_copy(self, position: int) -> bool:
        fixed = getattr(self.strategy, "fixed_tasks", False) is True
        known = len(self._known) == position and None not in self._known
        return fixed and known and position > 1 and not self.refuted and not self._anew

    def _copying(self, position: int) -> Row | None:
        """Return the row with copies; ``None`` if the one that is checked is refuted."""
        sample = derive_seed(self.seed, "copied accuracy", position) % position
        found = self._measured([sample, position])
        if not self._check({sample: found[sample]}, position):
            return None
        return {
            "accuracy": [*self._known[:position], found[position]],
            "evaluated": [sample, position],
        }

    def _check(self, found: Mapping[int, float], position: int) -> bool:
        differing = [i for i, value in found.items() if value != self._known[i]]
        if differing:
            self.refuted = True
            first = differing[0]
            logger.warning(
                "%s declares that finished tasks cannot change (fixed_tasks), but after experience "
                "%d the accuracy on experience %d is %.6g, and was %.6g: everything is evaluated "
                "from now on, and accuracies that were copied before count as not measured; "
                "take the declaration out of the strategy and run again",
                type(self.strategy).__name__,
                position,
                first,
                found[first],
                self._known[first],
            )
        return not differing

    def _measured(self, positions: Iterable[int]) -> dict[int, float]:
        self.strategy.eval([self.stream[position] for position in positions])
        self.told()
        return {column: float(value) for column, value in self.matrix.latest.items()}

    def _note(self, accuracy: Sequence[float | None]) -> None:
        earlier = self._known + [None] * (len(accuracy) - len(self._known))
        pairs = zip(accuracy, earlier, strict=True)
        self._known = [before if value is None else value for value, before in pairs]

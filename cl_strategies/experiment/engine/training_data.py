"""What is trained for each row of a run: an experience, or the parts that it comes in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class TrainingData:
    """The train stream of a benchmark by rows of the accuracy matrix.

    A row stands for a whole experience also on an online stream, whose experiences come in parts.

    :param benchmark: under the stream contract.
    :param jointly: whether all of it is trained at once, which no parts are needed for.
    :ivar whole: the whole experiences, one for each row.
    :ivar in_parts: whether it is trained part by part.
    """

    def __init__(self, benchmark: Any, *, jointly: bool) -> None:
        in_parts = getattr(benchmark.info, "parts", None) is not None
        self.whole = benchmark.whole_stream if in_parts else benchmark.train_stream
        self.in_parts = in_parts and not jointly
        self._parts = benchmark.parts_of if self.in_parts else None
        self._jointly = jointly

    def __len__(self) -> int:
        return len(self.whole)

    def of(self, position: int) -> Iterable[Any]:
        """Return what is trained for the row ``position``, one after the other."""
        if self._jointly:
            return [list(self.whole)]
        if self._parts is not None:
            parts: Iterable[Any] = self._parts(position)
            return parts
        return [self.whole[position]]

    def seen(self, position: int) -> list[Any]:
        """Return all experiences, or parts of some, that were trained up to row ``position``."""
        if self._jointly:
            return list(self.whole)
        return [one for row in range(position + 1) for one in self.of(row)]

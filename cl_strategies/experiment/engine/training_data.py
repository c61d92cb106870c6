"""What is trained for each row of a run: an experience, or the parts that it comes in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class TrainingData:
    """The train stream of a benchmark by rows of the accuracy matrix.

    A row stands for a whole experience also on an online stream, whose experiences come in parts.

    :param benchmark: under the stream contract.
    :ivar whole: the whole experiences, one for each row.
    """

    def __init__(self, benchmark: Any) -> None:
        self._benchmark = benchmark
        self._in_parts = getattr(benchmark.info, "parts", None) is not None
        self.whole = benchmark.whole_stream if self._in_parts else benchmark.train_stream

    def __len__(self) -> int:
        return len(self.whole)

    def of(self, position: int) -> Iterable[Any]:
        """Return what is trained for the row ``position``, one after the other."""
        if self._in_parts:
            parts: Iterable[Any] = self._benchmark.parts_of(position)
            return parts
        return [self.whole[position]]

    def seen(self, position: int) -> list[Any]:
        """Return all that was trained for the rows up to ``position``."""
        return [one for row in range(position + 1) for one in self.of(row)]

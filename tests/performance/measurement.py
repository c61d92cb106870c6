"""A figure that is not a training loop against two others."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One figure with its target.

    :param name: kebab-case, unique.
    :param title: what was measured.
    :param values: one for each round; the figure is their median.
    :param unit: ``"x"`` for a ratio, ``"s"``, ``"images/s"``...
    :param proof: what was shown to be equal before the clock started.
    :param most: upper limit of the figure.
    :param least: lower limit of the figure.
    """

    name: str
    title: str
    values: Sequence[float]
    unit: str = "x"
    proof: str = ""
    most: float | None = None
    least: float | None = None

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        """Whether the figure keeps its limits."""
        return (self.most is None or self.value <= self.most) and (
            self.least is None or self.value >= self.least
        )

"""How a metric is shown."""

from __future__ import annotations

from dataclasses import dataclass

from cl_strategies.results.fields import LARGEST


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How a metric is shown.

    :param name: its name in ``summary.csv``.
    :param title: heading of its column.
    :param unit: ``"fraction"`` (shown in percent), ``"seconds"``, ``"bytes"`` or ``"number"``.
    :param higher_is_better: ``None`` where neither direction is.
    :param meaning: one or two sentences.
    :param formula: in the notation of the report, ``""`` if words say it all.
    :param source: where the definition is from.
    :param bounds: the least and the largest value that the definition allows.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool | None
    meaning: str
    formula: str = ""
    source: str = ""
    bounds: tuple[float, float] = (-LARGEST, LARGEST)

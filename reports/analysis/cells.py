"""Scores of the strategies on one benchmark, matched by what their runs share: order and seed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cl_strategies.reports.analysis.grouping import Group, literal
from cl_strategies.results.record import RunRecord
from cl_strategies.statistics.cells import matched
from cl_strategies.validation.arrays import Floats

#: What the runs of a pair share: order, stream and seed.
Cell = tuple[Hashable, str, int]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """One metric of several strategies on one benchmark.

    :param scores: label of a strategy -> its score in each cell (order, seed), ``NaN`` where it
        has none: no such run, a failed one, or a metric that is not defined.
    :param units: for each cell its order, if there are several orders with several seeds: the
        runs of one order move together, so an order counts once. ``None``: each cell is a pair.
    """

    scores: dict[str, Floats]
    units: tuple[Hashable, ...] | None = None

    @property
    def unit(self) -> str:
        """What is counted: ``"pair"`` or ``"order"``."""
        return "pair" if self.units is None else "order"


def order_of(record: RunRecord) -> Hashable:
    """Return what two runs share that met the same tasks in the same order."""
    table: Mapping[str, Any] = record.config["benchmark"]
    return tuple(record.task_order), literal(table.get("class_order"))


def cell_of(record: RunRecord) -> Cell:
    """Return what two runs share that are a pair: order, stream and seed."""
    stream = literal(record.config["benchmark"].get("stream_seed"))
    return order_of(record), stream, record.seed


def cells_of(groups: Sequence[Group], metric: str) -> Cells:
    """Return the scores of ``groups``, all on one benchmark, that have any.

    Runs of one strategy in the same cell are averaged.
    """
    tables: dict[str, dict[Hashable, float]] = {}
    for group in groups:
        found: dict[Cell, list[float]] = {}
        for record in group.finished:
            value = record.metric(metric)
            if value == value:
                found.setdefault(cell_of(record), []).append(value)
        if found:
            tables[group.strategy] = {cell: float(np.mean(v)) for cell, v in found.items()}
    cells, scores = matched(tables)
    orders = tuple(cell[0] for cell in cells if isinstance(cell, tuple))
    several = 1 < len(set(orders)) < len(orders)
    return Cells(scores=scores, units=orders if several else None)


def competitors(groups: Sequence[Group], benchmark: str) -> list[Group]:
    """Return the groups on ``benchmark`` that are ranked."""
    return [group for group in groups if group.benchmark == benchmark and not group.reference]

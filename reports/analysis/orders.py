"""How much the accuracy of each task depends on the order in which the tasks came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cl_strategies.plugins.metrics.functional import order_disparity
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.results.formatting import MISSING, show
from cl_strategies.results.record import RunRecord
from cl_strategies.statistics.variance.disparity import OrderDisparity
from cl_strategies.statistics.variance.disparity import order_disparity as with_noise

HEADINGS = ("MOPD", "AOPD", "Floor of AOPD", "Excess", "p")
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Disparity:
    """The order disparity of one strategy on one benchmark.

    :param strategy: its label.
    :param orders: how many orders were run.
    :param per_task: OPD of each task (T,), in [0, 1], by the original index of the task.
    :param maximum: MOPD.
    :param average: AOPD.
    :param noise: what the seeds alone would make of AOPD, and a permutation test; ``None`` if it
        was not asked for.
    """

    strategy: str
    orders: int
    per_task: tuple[float, ...]
    maximum: float
    average: float
    noise: OrderDisparity | None = None

    @property
    def floor(self) -> float | None:
        """AOPD that noise between seeds would make; ``None`` with one seed in an order."""
        return None if self.noise is None else self.noise.aopd_floor_unbiased

    @property
    def noise_cells(self) -> tuple[str, str, str]:
        """Floor and excess in percentage points, and the p of equal orders."""
        if self.noise is None or self.floor is None:
            return UNKNOWN, MISSING, MISSING
        p = self.noise.permutation_p_aopd
        return (
            show(self.floor, "fraction", symbol=False),
            show(self.average - self.floor, "fraction", symbol=False),
            MISSING if p is None else f"{p:.3f}",
        )


@dataclass(frozen=True, kw_only=True)
class DisparityTable:
    """The disparities on one benchmark, least average first.

    :param benchmark: its label.
    :param headings: of the columns after the strategy: one for each task and :data:`HEADINGS`.
    :param items: one for each strategy.
    """

    benchmark: str
    headings: tuple[str, ...]
    items: tuple[Disparity, ...]

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """Strategy and numbers in percentage points, as text."""
        return [
            (
                item.strategy,
                *(
                    show(value, "fraction", symbol=False)
                    for value in (*item.per_task, item.maximum, item.average)
                ),
                *item.noise_cells,
            )
            for item in self.items
        ]


def final_by_order(records: Sequence[RunRecord]) -> npt.NDArray[np.float64]:
    """Final accuracy of each task in each order (orders, T), columns by original task.

    Runs of the same order, with other seeds, are averaged first.
    """
    means = [np.mean(finals, axis=0) for finals in _finals(records)]
    return np.stack(means) if means else np.empty((0, 0))


def _finals(records: Sequence[RunRecord]) -> list[npt.NDArray[np.float64]]:
    """Final accuracies of the runs of each order, each (seeds, T), columns by original task."""
    by_order: dict[tuple[int, ...], list[npt.NDArray[np.float64]]] = {}
    for record in records:
        final = np.full(len(record.task_order), np.nan)
        final[list(record.task_order)] = record.matrix[-1]
        by_order.setdefault(tuple(record.task_order), []).append(final)
    return [np.stack(finals) for finals in by_order.values()]


def disparity(group: Group, *, noise: bool = False) -> Disparity | None:
    """Return the disparity of ``group``; ``None`` with fewer than two orders or unmeasured
    tasks.

    :param noise: work out the noise floor, too; the permutations take a moment.
    """
    performance = final_by_order(group.finished)
    if len(performance) < 2 or np.isnan(performance).any():
        return None
    per_task, maximum, average = order_disparity(performance)
    return Disparity(
        strategy=group.strategy,
        orders=len(performance),
        per_task=tuple(float(value) for value in per_task),
        maximum=maximum,
        average=average,
        noise=with_noise(_finals(group.finished)) if noise else None,
    )


def disparity_tables(groups: Sequence[Group]) -> list[DisparityTable]:
    """Return one table for each benchmark on which a strategy met at least two orders."""
    tables = []
    for benchmark in sorted({group.benchmark for group in groups}):
        found = [disparity(g, noise=True) for g in groups if g.benchmark == benchmark]
        items = sorted(
            (item for item in found if item is not None),
            key=lambda item: (item.average, item.strategy),
        )
        if items:
            tasks = max(len(item.per_task) for item in items)
            tables.append(
                DisparityTable(
                    benchmark=benchmark,
                    headings=(*(f"Task {task}" for task in range(tasks)), *HEADINGS),
                    items=tuple(items),
                )
            )
    return tables

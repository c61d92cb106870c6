"""The variance of the average accuracy of a strategy, split into task order, seed and rest."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from cl_strategies.reports.analysis.cells import cell_of, order_of
from cl_strategies.reports.analysis.findings import Finding
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.marks import PRIMARY
from cl_strategies.results.formatting import MISSING, plain
from cl_strategies.statistics.variance.components import variance_components

HEADINGS = (
    "Orders",
    "Seeds",
    "Order (%)",
    "95 % interval",
    "Seed (%)",
    "Rest (%)",
    "What limits it",
)
#: With fewer orders a share is nearly unknown, and no sentence is made of it.
FEWEST_ORDERS = 3


@dataclass(frozen=True, kw_only=True)
class Split:
    """The split of one strategy on one benchmark; shares are fractions of the variance.

    :param seeds: of each order; the least number if they differ.
    :param order: share of the order, ``None`` if it is not known.
    :param interval: its 95 % interval.
    :param seed: share of the seed where the same seeds were run in every order: else it is part
        of ``rest``, and ``None``.
    :param note: what limits the numbers, or why there are none.
    """

    strategy: str
    orders: int
    seeds: int
    order: float | None = None
    interval: tuple[float, float] | None = None
    seed: float | None = None
    rest: float | None = None
    note: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """A text for each of :data:`HEADINGS`."""
        ends = None if self.interval is None else [_percent(end) for end in self.interval]
        return (
            str(self.orders),
            str(self.seeds),
            _percent(self.order),
            MISSING if ends is None else " to ".join(ends),
            _percent(self.seed),
            _percent(self.rest),
            self.note,
        )

    @property
    def sentence(self) -> str:
        """The share in words; empty with too few orders, or where it is not known."""
        if self.order is None or self.interval is None or self.orders < FEWEST_ORDERS:
            return ""
        low, high = (_percent(end) for end in self.interval)
        return (
            f"Order explains {_percent(self.order)} % of the variance of the average accuracy of "
            f"{self.strategy} (95 % interval {low} to {high} %, {self.orders} orders)."
        )


@dataclass(frozen=True, kw_only=True)
class SplitTable:
    """The splits on one benchmark."""

    benchmark: str
    items: tuple[Split, ...]


def share_findings(table: SplitTable) -> list[Finding]:
    """Say of which strategies the order explains most and least, where that is known."""
    known = [item for item in table.items if item.sentence]
    known.sort(key=lambda item: (-(item.order or 0.0), item.strategy))
    ends = known if len(known) < 3 else [known[0], known[-1]]
    return [Finding(name="", text=item.sentence) for item in ends]


def split_tables(groups: Sequence[Group]) -> list[SplitTable]:
    """Return a table for each benchmark on which a strategy met two orders with two seeds each."""
    tables = []
    for benchmark in sorted({group.benchmark for group in groups}):
        found = [split(group) for group in groups if group.benchmark == benchmark]
        items = tuple(item for item in found if item is not None)
        if any(item.seeds > 1 for item in items):
            tables.append(SplitTable(benchmark=benchmark, items=items))
    return tables


def split(group: Group) -> Split | None:
    """Return the split of ``group``; ``None`` with fewer than two orders."""
    by_order: dict[Hashable, dict[Hashable, float]] = {}
    for record in group.finished:
        value = record.metric(PRIMARY)
        if value == value:
            cell = cell_of(record)
            place = cell[1:] if isinstance(cell, tuple) else cell
            by_order.setdefault(order_of(record), {})[place] = value
    if len(by_order) < 2:
        return None
    seeds = min(len(found) for found in by_order.values())
    base = Split(strategy=group.strategy, orders=len(by_order), seeds=seeds)
    places = sorted({place for found in by_order.values() for place in found}, key=repr)
    rows = [[found[place] for place in places if place in found] for found in by_order.values()]
    parts = variance_components(rows)
    if parts is None:
        return replace(base, note="it takes two seeds of each order")
    same = all(len(row) == len(places) for row in rows)
    if same and parts.crossed is not None:
        crossed = parts.crossed
        if crossed.order_share is None or crossed.seed_share is None:
            return replace(base, note="no variance")
        return replace(
            base,
            order=crossed.order_share,
            interval=crossed.order_share_interval,
            seed=crossed.seed_share,
            rest=1 - crossed.order_share - crossed.seed_share,
            note=crossed.note,
        )
    nested = parts.nested
    if nested.icc is None:
        return replace(base, note="no variance")
    note = "; ".join(text for text in (nested.note, "other seeds in each order") if text)
    rest = 1 - nested.icc
    return replace(base, order=nested.icc, interval=nested.icc_interval, rest=rest, note=note)


def _percent(share: float | None) -> str:
    return MISSING if share is None else plain(100 * max(0.0, share), 0)

"""Lines of a panel over budgets of bytes beside its reference, compared as codecs are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cl_strategies.plugins.metrics.functional.budget_curves import compare_budget_curves
from cl_strategies.reports.analysis.cells import Cell, cell_of
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.layout import OTHERS, Layout
from cl_strategies.reports.analysis.marks import PRIMARY
from cl_strategies.reports.comparison.references import reference_of
from cl_strategies.reports.comparison.sentences import points
from cl_strategies.results.formatting import MISSING, plain
from cl_strategies.results.record import RunRecord
from cl_strategies.statistics.intervals import t_interval
from cl_strategies.validation.arrays import Floats

HEADINGS = (
    "Reference",
    "Accuracy gain (points)",
    "95 % interval",
    "Byte change (log2)",
    "95 % interval",
    "Byte ratio",
    "95 % interval",
    "n",
    "Limits",
)
EQUAL = "two budgets took equal bytes"
APART = "no budgets are shared"
FLAT = "a curve does not rise, or they share no accuracy"
Ends = tuple[float, float]
#: Bytes and accuracy at each budget, in the runs of one cell.
Curve = list[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over seeds.

    :param mean: ``None`` where it is not defined for one of them.
    :param interval: its 95 % t interval; ``None`` with one seed.
    """

    mean: float | None
    interval: Ends | None


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A line of a panel beside the reference of the panel, over the budgets that both have.

    :param mean_accuracy_gain: mean vertical distance of the curves, as a fraction.
    :param mean_log2_byte_change: mean horizontal distance: log2 of the bytes for equal accuracy.
    :param measured: whether bytes are those that were used; else those that were allowed.
    :param n: seeds of the same order that both have at all their budgets (or orders).
    :param dropped: seeds (or orders) that lack one.
    :param note: why something is not known.
    """

    panel: str
    series: str
    reference: str
    mean_accuracy_gain: Mean
    mean_log2_byte_change: Mean
    measured: bool
    n: int
    dropped: int
    note: str

    @property
    def byte_ratio(self) -> float | None:
        """Share of the bytes of the reference for the same accuracy."""
        change = self.mean_log2_byte_change.mean
        return None if change is None else 2.0**change

    @property
    def byte_ratio_interval(self) -> Ends | None:
        """The 95 % interval of :attr:`byte_ratio`."""
        ends = self.mean_log2_byte_change.interval
        return None if ends is None else (2.0 ** ends[0], 2.0 ** ends[1])

    @property
    def cells(self) -> tuple[str, ...]:
        """A text for each of :data:`HEADINGS`."""
        gain, change = self.mean_accuracy_gain, self.mean_log2_byte_change
        return (
            self.reference,
            MISSING if gain.mean is None else points(gain.mean),
            _ends(gain.interval, 100.0, 1),
            MISSING if change.mean is None else plain(change.mean, 2),
            _ends(change.interval, 1.0, 2),
            MISSING if self.byte_ratio is None else plain(self.byte_ratio, 2),
            _ends(self.byte_ratio_interval, 1.0, 2),
            str(self.n),
            self.note,
        )

    @property
    def sentence(self) -> str:
        """What the bytes come to, where that is shown to be less or more; else empty."""
        ends, ratio = self.byte_ratio_interval, self.byte_ratio
        if ratio is None or ends is None or ends[0] <= 1.0 <= ends[1]:
            return ""
        shown = [plain(100 * value, 0) for value in (ratio, *ends)]
        return (
            f"{self.panel}: {self.series} reaches the accuracy of {self.reference} with "
            f"{shown[0]} % of the bytes (95 % interval {shown[1]} to {shown[2]} %)."
        )


def rates(layout: Layout, groups: Sequence[Group]) -> list[Rate]:
    """Return the lines of each panel beside its reference; none unless the axis is bytes.

    Curves are compared seed by seed, then averaged: the luck of a seed is on both sides.

    :param groups: all on the benchmark of ``layout``.
    """
    if not layout.x.endswith("_bytes"):
        return []
    here = {group.strategy: group for group in groups if group.strategy in layout.places}
    measured = all(used_bytes(record) for group in here.values() for record in group.finished)
    found = []
    for panel in layout.panels:
        lines = layout.lines(panel)
        reference = reference_of(lines)
        if panel == OTHERS:  # strategies of their own, not levels
            continue
        curves = {
            name: _curves(
                [(x, here[label]) for label in labels if (x := layout.places[label].x or 0.0) > 0],
                measured,
            )
            for name, labels in lines.items()
        }
        found += [
            _rate((panel, name, reference), curves, measured)
            for name in curves
            if name != reference and all(_budgets(curves[one]) > 1 for one in (name, reference))
        ]
    return found


def used_bytes(record: RunRecord) -> float | None:
    """Return the bytes that a memory took after the last task, ``None`` if that is not known."""
    column = record.exemplars.get("bytes", ())
    return float(column[-1]) if column and column[-1] else None


def _curves(groups: Sequence[tuple[float, Group]], measured: bool) -> dict[Cell, Curve]:
    found: dict[Cell, Curve] = {}
    for allowed, group in groups:
        same: dict[Cell, Curve] = {}
        for record in group.finished:
            value = record.metric(PRIMARY)
            if value == value:
                used = used_bytes(record) if measured else None
                same.setdefault(cell_of(record), []).append((used or allowed, value))
        for cell, spots in same.items():
            x, y = np.mean(spots, axis=0)
            found.setdefault(cell, []).append((float(x), float(y)))
    return found


def _budgets(curves: Mapping[Cell, Curve]) -> int:
    return max(map(len, curves.values()), default=0)


def _rate(
    names: tuple[str, str, str], curves: Mapping[str, Mapping[Cell, Curve]], measured: bool
) -> Rate:
    panel, name, reference = names
    base, own = curves[reference], curves[name]
    cells = sorted({*base, *own}, key=repr)
    whole = [
        cell
        for cell in cells
        if all(len(side.get(cell, ())) == _budgets(side) for side in (base, own))
    ]
    pairs = [_distances(base[cell], own[cell]) for cell in whole]
    several = 1 < len({cell[0] for cell in whole}) < len(whole)  # then an order counts once
    units: dict[Hashable, list[tuple[float, float]]] = {}
    for cell, (gain, change, _) in zip(whole, pairs, strict=True):
        units.setdefault(cell[0] if several else cell, []).append((gain, change))
    means = np.array([np.mean(found, axis=0) for found in units.values()]).reshape(-1, 2)
    limits = Counter(limit for *_, limit in pairs if limit)
    notes = [f"{limit} in {number} of {len(pairs)}" for limit, number in sorted(limits.items())]
    if len(whole) < len(cells):
        notes.append(f"{len(cells) - len(whole)} of {len(cells)} not at every budget")
    return Rate(
        panel=panel,
        series=name,
        reference=reference,
        mean_accuracy_gain=_mean(means[:, 0]),
        mean_log2_byte_change=_mean(means[:, 1]),
        measured=measured,
        n=len(means),
        dropped=len(cells) - len(whole),
        note="; ".join(notes),
    )


def _distances(base: Curve, own: Curve) -> tuple[float, float, str]:
    """Return the mean vertical and horizontal distance, and why one of them is NaN."""
    if any(len({x for x, _ in curve}) < len(curve) for curve in (base, own)):
        return math.nan, math.nan, EQUAL
    (x, a), (z, b) = (np.array(sorted(curve)).T for curve in (base, own))
    found = compare_budget_curves(np.log2(x), a, b, candidate_log2_bytes=np.log2(z))
    gain, change = found.mean_accuracy_gain, found.mean_log2_byte_change
    return gain, change, APART if math.isnan(gain) else FLAT if math.isnan(change) else ""


def _mean(values: Floats) -> Mean:
    if not len(values) or np.isnan(values).any():
        return Mean(mean=None, interval=None)
    low, high = (float(end) for end in t_interval(values))
    return Mean(mean=float(values.mean()), interval=(low, high) if len(values) > 1 else None)


def _ends(ends: Ends | None, factor: float, decimals: int) -> str:
    return MISSING if ends is None else " to ".join(plain(factor * end, decimals) for end in ends)

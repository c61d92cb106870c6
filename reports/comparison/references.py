"""Lines of a panel beside one of them, the reference, place by place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cl_strategies.reports.analysis.cells import cells_of
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.layout import OTHERS, Layout
from cl_strategies.reports.analysis.marks import PRIMARY
from cl_strategies.reports.comparison.sentences import points
from cl_strategies.statistics.cells import complete_pairs
from cl_strategies.statistics.intervals import t_interval

#: Levels that leave things as they are, by which others are judged.
PLAIN = ("raw", "none", "off", "FP32", "uniform", "random")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A line less the reference at one place.

    :param x: the place; ``None`` without an axis.
    :param n: pairs of the same order and seed.
    :param mean: of the differences, as a fraction.
    :param interval: its 95 % t interval; ``None`` with one pair.
    """

    x: float | None
    n: int
    mean: float
    interval: tuple[float, float] | None


def reference_of(lines: Mapping[str, Sequence[str]]) -> str:
    """Return the line that others are compared with: one of :data:`PLAIN`, or the first with as
    many places as any."""
    found = [name for name in PLAIN if name in lines and len(lines[name]) > 0]
    longest = max(len(labels) for labels in lines.values())
    wide = [name for name in found if len(lines[name]) == longest]
    return (wide or [name for name in lines if len(lines[name]) == longest])[0]


def differences(layout: Layout, groups: Sequence[Group]) -> dict[str, dict[str, list[Difference]]]:
    """Return panel -> line -> its differences to the reference of the panel, by place."""
    cells = cells_of([g for g in groups if g.strategy in layout.places], PRIMARY)
    result: dict[str, dict[str, list[Difference]]] = {}
    for panel in layout.panels:
        lines = layout.lines(panel)
        if len(lines) < 2 or panel == OTHERS:  # strategies of their own, not levels
            continue
        base = {layout.places[label].x: label for label in lines[reference_of(lines)]}
        found: dict[str, list[Difference]] = {}
        for name, labels in lines.items():
            for label in labels:
                x = layout.places[label].x
                pair = label, base.get(x, "")
                if name == reference_of(lines) or any(one not in cells.scores for one in pair):
                    continue
                own, base_scores = (cells.scores[one] for one in pair)
                first, second, _ = complete_pairs(own, base_scores, cells.units)
                if len(first):
                    d = first - second
                    low, high = (float(end) for end in t_interval(d))
                    found.setdefault(name, []).append(
                        Difference(
                            x=x,
                            n=len(d),
                            mean=float(d.mean()),
                            interval=(low, high) if len(d) > 1 else None,
                        )
                    )
        if found:
            result[panel] = found
    return result


def interaction(layout: Layout, panel: str, lines: Mapping[str, Sequence[Difference]]) -> str:
    """Say how the gain of the best line over the reference changes along the axis; empty where
    there is no axis, or the gain is not shown to be one."""
    long = {name: found for name, found in lines.items() if len(found) > 1}
    if not long or not layout.ticks:
        return ""
    name = max(long, key=lambda name: sum(d.mean for d in long[name]) / len(long[name]))
    first, last = long[name][0], long[name][-1]
    if first.x is None or last.x is None:
        return ""
    gain = f"{panel}: the gain of {name} over {reference_of(layout.lines(panel))}"
    ends = (
        f"{points(first.mean)} points at {layout.at(first.x)}",
        (f"{points(last.mean)} at {layout.at(last.x)}"),
    )
    if first.interval is None or last.interval is None:
        return f"{gain} is {ends[0]} and {ends[1]} (one pair each: the change may be noise)."
    said = " and ".join(
        f"{points(low)} to {points(high)}" for low, high in (first.interval, last.interval)
    )
    if first.interval[0] <= last.interval[1] and last.interval[0] <= first.interval[1]:
        return (
            f"{gain} is {ends[0]} and {ends[1]} (95 % intervals {said}, which overlap: the change "
            "may be noise)."
        )
    verb = "falls" if last.mean < first.mean else "grows"
    return f"{gain} {verb} from {ends[0]} to {ends[1]} (95 % intervals {said})."

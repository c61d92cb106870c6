"""Two reports: what changed between them, and whether the numbers changed beyond noise."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cl_strategies.reports.analysis.cells import cells_of
from cl_strategies.reports.analysis.grouping import (
    ELSEWHERE,
    REPEATED,
    Group,
    flatten,
    group_records,
    literal,
)
from cl_strategies.reports.reading.collection import Collection
from cl_strategies.results.metrics import METRICS, describe
from cl_strategies.statistics.adjust import least_pairs
from cl_strategies.statistics.cells import complete_pairs
from cl_strategies.statistics.evidence import directions, judged, resolution_of
from cl_strategies.statistics.flips import EXACT
from cl_strategies.statistics.intervals import t_interval
from cl_strategies.statistics.words import ROPE, verdict
from cl_strategies.validation.arrays import Floats

COMPARED = ("average_accuracy", "forgetting", "learning_accuracy")
ALPHA = 0.05
SAME, BETTER, WORSE = "the same numbers", "better", "worse"
SMALL, NOISE, UNKNOWN = "equivalent", "may be noise", "not comparable"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One metric of one strategy on one benchmark, now less before.

    :param n: runs of the same order and seed in both reports (or orders).
    :param mean: of the differences; ``NaN`` without such a pair.
    :param interval: its 95 % t interval; ``None`` with fewer than two pairs.
    :param p_adjusted: by Holm over the strategies of the metric.
    :param word: :data:`SAME`, better, worse, equivalent, may be noise, not comparable.
    """

    benchmark: str
    strategy: str
    metric: str
    n: int
    mean: float
    interval: tuple[float, float] | None
    p_adjusted: float | None
    word: str


@dataclass(frozen=True, kw_only=True)
class Against:
    """This report beside another.

    :param name: what the other is called.
    :param code: what differs in the code, in sentences.
    :param data: benchmarks whose data differ, in sentences.
    :param added: strategies (with their benchmark) that only this report has.
    :param removed: those that only the other has.
    :param settings: label of a strategy on a benchmark -> its settings that differ, as
        ``key: before -> now``.
    :param changes: numbers, metric by metric.
    :param least: how many pairs an exact test needs to pass Holm here.
    """

    name: str
    code: tuple[str, ...]
    data: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]
    changes: tuple[Change, ...]
    least: int

    @property
    def sentence(self) -> str:
        """The answer in one sentence, by average accuracy."""
        words = [change.word for change in self.changes if change.metric == COMPARED[0]]
        if not words:
            return f"No strategy is both here and in {self.name}."
        counted = ((words.count(word), word) for word in dict.fromkeys(words))
        parts = [f"{number} {_said(word)}" for number, word in counted]
        return f"Average accuracy against {self.name}, of {len(words)}: {', '.join(parts)}."


def against(now: Collection, before: Collection, name: str) -> Against:
    """Compare the runs of this report with those of another, strategy by strategy.

    :param name: what the other is called.
    """
    mine, theirs = (group_records(run.record for run in side.runs) for side in (now, before))
    pairs = _matched(mine, theirs)
    matched = {id(group) for pair in pairs for group in pair}
    changes = [change for metric in COMPARED for change in _changes(pairs, metric)]
    settings = [(_name(first), _settings(first, second)) for first, second in pairs]
    return Against(
        name=name,
        code=tuple(_code(now, before)),
        data=tuple(_data(now, before)),
        added=tuple(_name(group) for group in mine if id(group) not in matched),
        removed=tuple(_name(group) for group in theirs if id(group) not in matched),
        settings=tuple((label, found) for label, found in settings if found),
        changes=tuple(changes),
        least=least_pairs(max(1, len(pairs))),
    )


def _matched(mine: Sequence[Group], theirs: Sequence[Group]) -> list[tuple[Group, Group]]:
    """Pair groups of the same settings, and of the rest those of the same labels."""
    found: dict[int, Group] = {}
    for key in (_settings_key, _label_key):
        taken = {id(other) for other in found.values()}
        left = {key(other): other for other in theirs if id(other) not in taken}
        for group in mine:
            if id(group) not in found and key(group) in left:
                found[id(group)] = left.pop(key(group))
    return [(group, found[id(group)]) for group in mine if id(group) in found]


def _settings_key(group: Group) -> Hashable:
    return tuple(sorted(_values(group).items()))


def _label_key(group: Group) -> Hashable:
    return group.benchmark, group.strategy


def _name(group: Group) -> str:
    return f"{group.strategy} on {group.benchmark}"


def _changes(pairs: Sequence[tuple[Group, Group]], metric: str) -> list[Change]:
    higher = describe(metric).higher_is_better is not False
    sides: list[tuple[Group, Floats, list[Floats]]] = []
    for first, second in pairs:
        two = [replace(first, strategy="now"), replace(second, strategy="before")]
        cells = cells_of(two, metric)
        if len(cells.scores) == 2:
            now, before, _ = complete_pairs(
                cells.scores["now"], cells.scores["before"], cells.units
            )
            sides.append((first, now - before, list(cells.scores.values())))
    if not sides:
        return []
    sign = 1.0 if higher else -1.0
    gains = [sign * d for _, d, _ in sides]
    many = max(len(d) for d in gains) > EXACT
    p, _ = judged(
        gains,
        comparisons=len(gains),
        alpha=ALPHA,
        test="t" if many else "auto",
        resolution=resolution_of([values for *_, scores in sides for values in scores]),
    )
    signs, adjusted = directions(gains, p, ALPHA)
    return [
        _change(group, metric, d, float(signs[row]), float(adjusted[row]), len(gains))
        for row, (group, d, _) in enumerate(sides)
    ]


def _change(group: Group, metric: str, d: Floats, sign: float, p: float, m: int) -> Change:
    low, high = (float(end) for end in t_interval(d)) if len(d) else (np.nan, np.nan)
    return Change(
        benchmark=group.benchmark,
        strategy=group.strategy,
        metric=metric,
        n=len(d),
        mean=float(d.mean()) if len(d) else float("nan"),
        interval=(low, high) if len(d) > 1 else None,
        p_adjusted=None if p != p else p,
        word=_word(d, sign, m),
    )


def _word(d: Floats, sign: float, m: int) -> str:
    if len(d) and not d.any():
        return SAME
    if len(d) < 2:
        return UNKNOWN
    if sign:
        return BETTER if sign > 0 else WORSE
    low, high = (float(end) for end in t_interval(d, 1 - ALPHA / m))
    return SMALL if verdict(low, high, ROPE) == SMALL else NOISE


def _settings(now: Group, before: Group) -> tuple[str, ...]:
    tables = [_values(group) for group in (before, now)]
    keys = sorted({*tables[0], *tables[1]})
    return tuple(
        f"{key}: {tables[0].get(key, 'unset')} -> {tables[1].get(key, 'unset')}"
        for key in keys
        if tables[0].get(key) != tables[1].get(key)
    )


def _values(group: Group) -> dict[str, str]:
    found: dict[str, dict[str, None]] = {}
    for record in group.records:
        for key, value in flatten(record.config).items():
            if key not in REPEATED and key not in ELSEWHERE:
                found.setdefault(key, {})[literal(value)] = None
    return {key: " | ".join(sorted(values)) for key, values in found.items()}


def _code(now: Collection, before: Collection) -> list[str]:
    versions = [_versions(collection) for collection in (before, now)]
    return [
        f"{package} was {_text(versions[0].get(package))}, is {_text(versions[1].get(package))}"
        for package in sorted({*versions[0], *versions[1]})
        if versions[0].get(package) != versions[1].get(package)
    ]


def _versions(collection: Collection) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for run in collection.runs:
        if run.record.identity is not None:
            for package, version in run.record.identity.packages.items():
                found.setdefault(package, set()).add(version)
    return {package: frozenset(versions) for package, versions in found.items()}


def _data(now: Collection, before: Collection) -> list[str]:
    prints = [_prints(collection) for collection in (before, now)]
    return [
        f"{benchmark}: data were {_text(prints[0][benchmark])}, are {_text(prints[1][benchmark])}"
        for benchmark in sorted({*prints[0]} & {*prints[1]})
        if prints[0][benchmark] != prints[1][benchmark]
    ]


def _prints(collection: Collection) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for run in collection.runs:
        if run.record.identity is not None:
            found.setdefault(run.record.benchmark, set()).add(run.record.identity.data)
    return {benchmark: frozenset(data) for benchmark, data in found.items()}


def _text(values: frozenset[str] | None) -> str:
    return " and ".join(sorted(values)) if values else "not known"


def _said(word: str) -> str:
    return {SAME: "with the same numbers", NOISE: "with changes that may be noise"}.get(word, word)


def title_of(metric: str) -> str:
    """Return the heading of a metric."""
    return METRICS[metric].title

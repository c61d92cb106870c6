"""Sentences that the numbers support, and warnings where they support less than it seems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cl_strategies.reports.analysis.grouping import Group, flatten, literal
from cl_strategies.reports.analysis.marks import BEST, LEVEL
from cl_strategies.reports.analysis.summary_table import rows_of
from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.reading.collection import Collection, Run
from cl_strategies.results.formatting import count, listing, show, show_with_spread
from cl_strategies.results.metrics import describe

_MOST_NAMES = 4
#: Repetitions do the same work, so their times say something else if the longest is as many times
#: the shortest, and longer by as many seconds, which the start of a process may cost.
UNEVEN_RATIO, UNEVEN_SECONDS = 1.5, 0.5
_MACHINE = ("platform", "processor", "cores", "device", "kernels")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A sentence about one strategy.

    :param name: the strategy, first words of the sentence; ``""`` if it is about none.
    :param text: the rest of the sentence.
    """

    name: str
    text: str


def findings(rows: Sequence[SummaryRow], benchmark: str) -> list[Finding]:
    """Return what the summary of ``benchmark`` says, in words."""
    accuracies = [row for row in rows_of(rows, benchmark, "average_accuracy") if row.n]
    if not accuracies:
        return [Finding(name="", text="No run on this benchmark finished.")]
    rivals = [row for row in accuracies if not row.reference]
    result = []
    if len(rivals) == 1:
        result.append(
            Finding(
                name=rivals[0].strategy,
                text=f"reaches an average accuracy of {_value(rivals[0])}. No other strategy can "
                "be ranked with it here.",
            )
        )
    elif rivals:
        result += _leader(
            rivals,
            "average accuracy",
            "has the highest average accuracy",
            "have the highest average accuracy",
        )
        drops = [row for row in rows_of(rows, benchmark, "forgetting") if row.n]
        result += _least_forgetting([row for row in drops if not row.reference], rivals)
    for row in sorted((row for row in accuracies if row.reference), key=lambda row: -row.mean):
        result.append(
            Finding(name=row.strategy, text=f"(a reference, not ranked) reaches {_value(row)}.")
        )
    if all(row.n == 1 for row in accuracies):
        result.append(
            Finding(
                name="",
                text="Every strategy was run once, so nothing tells how much of a difference is "
                "chance.",
            )
        )
    return result


def notices(collection: Collection, groups: Sequence[Group]) -> list[str]:
    """Return what a reader must know before comparing numbers of this report."""
    result = []
    failed = sum(group.n_failed for group in groups)
    if failed:
        result.append(
            f"{count(failed, 'run')} failed. Means are over the finished runs only, which flatters "
            "a strategy whose bad runs fail."
        )
    if collection.unfinished:
        result.append(f"{count(len(collection.unfinished), 'run')} did not finish.")
    if collection.problems:
        what = count(len(collection.problems), "file or directory", "files or directories")
        result.append(f"{what} could not be used: see Failed and missing runs.")
    for benchmark in sorted({group.benchmark for group in groups}):
        here = [group for group in groups if group.benchmark == benchmark]
        result += _unequal_repetitions(benchmark, here)
        result += _unequal_settings(benchmark, here)
    moved = sum(len(run.environments) > 1 for run in collection.runs)
    if moved:
        result.append(
            f"{count(moved, 'run')} continued on another machine, or with other versions, than "
            "before: see Environment. The last bits of such a run may differ from those of one in "
            "one place."
        )
    return result + _unequal_machines(collection.runs) + _uneven_times(groups)


def _leader(rows: Sequence[SummaryRow], noun: str, one: str, many: str) -> list[Finding]:
    """Who has the best mean, and who cannot be told apart: ``one`` is the claim about a single
    strategy, ``many`` about several."""
    higher = describe(rows[0].metric).higher_is_better
    best = (max if higher else min)(row.mean for row in rows)
    first = sorted((row for row in rows if row.mean == best), key=lambda row: row.strategy)
    if len(first) == len(rows):
        return [Finding(name="", text=f"All strategies have the same {noun}, {_value(rows[0])}.")]
    if len(first) > 1:
        names = listing([row.strategy for row in first[1:]])
        text = f"and {names} {many}, {_value(first[0])} each."
        return [Finding(name=first[0].strategy, text=text)]
    lead = first[0]
    text = f"{one}, {_value(lead)}"
    level = [row for row in rows if row.mark == LEVEL and row is not lead]
    level.sort(key=lambda row: (abs(row.mean - best), row.strategy))
    if lead.mark == BEST:
        text += ", better than every other" if len(rows) > 2 else ", the better one"
    elif level:
        close = [f"{row.strategy} ({show(row.mean, 'fraction')})" for row in level]
        if len(close) > _MOST_NAMES:
            close[_MOST_NAMES - 1 :] = [f"{len(close) - _MOST_NAMES + 1} others"]
        text += f"; {listing(close)} cannot be told apart from it"
    return [Finding(name=lead.strategy, text=f"{text}.")]


def _least_forgetting(drops: Sequence[SummaryRow], rivals: Sequence[SummaryRow]) -> list[Finding]:
    if len(drops) < 2:
        return []
    result = _leader(drops, "forgetting", "forgets least", "forget least")
    accuracy = {row.strategy: row for row in rivals}.get(result[0].name)
    if accuracy is None or accuracy.mean == max(row.mean for row in rivals):
        return result
    if result[0].text.startswith("and "):
        return result
    extra = f" Its average accuracy is {_value(accuracy)}."
    return [Finding(name=result[0].name, text=result[0].text + extra)]


def _value(row: SummaryRow) -> str:
    return show_with_spread(row.mean, row.std, "fraction")


def _unequal_repetitions(benchmark: str, groups: Sequence[Group]) -> list[str]:
    repetitions = {
        group.strategy: frozenset(
            (record.seed, tuple(record.task_order)) for record in group.finished
        )
        for group in groups
    }
    whole = frozenset().union(*repetitions.values())
    short = [name for name, runs in repetitions.items() if runs != whole]
    if not short:
        return []
    return [
        f"On {benchmark} not every strategy has a finished run for the same seeds and task "
        f"orders: {listing(short)} lack{'s' if len(short) == 1 else ''} some."
    ]


def _unequal_settings(benchmark: str, groups: Sequence[Group]) -> list[str]:
    """Model and training settings in which the strategies of one benchmark differ."""
    values: dict[str, dict[str, None]] = {}
    for group in groups:
        for record in group.records:
            flat = flatten({name: record.config.get(name, {}) for name in ("model", "train")})
            for key, value in flat.items():
                values.setdefault(key, {})[literal(value)] = None
    differing = sorted(key for key, found in values.items() if len(found) > 1)
    if not differing:
        return []
    return [
        f"On {benchmark} the strategies were not all trained alike: they differ in "
        f"{listing(differing)} (see Configuration)."
    ]


def _unequal_machines(runs: Sequence[Run]) -> list[str]:
    machines = {
        tuple(
            (key, literal(value))
            for key, value in sorted(flatten(environment).items())
            if key.split(".")[0] in _MACHINE
        )
        for run in runs
        if run.record.finished
        for environment in run.environments
    }
    if len(machines) < 2:
        return []
    return [
        f"The runs come from {len(machines)} different machines or settings: do not compare their "
        "training times."
    ]


def _uneven_times(groups: Sequence[Group]) -> list[str]:
    """Groups whose repetitions took very different times: something else had the machine."""
    uneven = []
    for group in groups:
        known = (record.metric("train_seconds") for record in group.finished)
        seconds = [value for value in known if not math.isnan(value)]
        shortest, longest = min(seconds, default=0.0), max(seconds, default=0.0)
        if longest > UNEVEN_RATIO * shortest and longest - shortest > UNEVEN_SECONDS:
            range_ = f"{show(shortest, 'seconds')} to {show(longest, 'seconds')}"
            name = f"{group.strategy} on {group.benchmark} ({range_})"
            uneven.append((longest / shortest if shortest else float("inf"), name))
    if not uneven:
        return []
    uneven.sort(key=lambda pair: (-pair[0], pair[1]))
    names = [name for _, name in uneven[:_MOST_NAMES]]
    if len(uneven) > _MOST_NAMES:
        names[-1:] = [f"{len(uneven) - _MOST_NAMES + 1} others"]
    return [
        f"The training times of some strategies differ by more than a factor of {UNEVEN_RATIO:g} "
        f"between their own runs: {listing(names)}. Something else was at work on the machine, or "
        "the machines were different: do not compare training times."
    ]

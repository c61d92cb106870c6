"""The command that computes metrics of runs from their records, without training."""

from __future__ import annotations

import argparse
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from cl_strategies.cli.console import answer, say, warn
from cl_strategies.cli.exit_codes import EXIT_OK
from cl_strategies.errors import UserError
from cl_strategies.results.formatting import MISSING, count

if TYPE_CHECKING:
    from cl_strategies.reports.derived.folder import RunMetrics
    from cl_strategies.results.derived import DerivedMetric

_LONGEST_LIST = 12


def metrics(options: argparse.Namespace) -> int:
    """Compute metrics of the runs of a folder, and print them."""
    if options.list:
        answer(_list_of_keys())
        return EXIT_OK
    if not options.folder:
        raise UserError("name the folder of the runs, what --out was; --list says what there is")
    from cl_strategies.reports.derived.folder import add_metrics

    found = add_metrics(options.folder, options.add)
    if not any(run.metrics for run in found):
        raise UserError(
            "no metric was added to these runs yet: give --add NAME; --list says what there is"
        )
    for run in found:
        if run.problem:
            warn(f"{run.directory}: {run.problem}")
    for (benchmark, strategy), runs in _by_label(found).items():
        answer(f"{strategy} on {benchmark}, {count(len(runs), 'run')}")
        for key in runs[0].metrics:
            answer(f"  {key:34} {_line([run.metrics[key] for run in runs if key in run.metrics])}")
    say("`cl-strategies report` shows them beside the others")
    return EXIT_OK


def _by_label(found: list[RunMetrics]) -> dict[tuple[str, str], list[RunMetrics]]:
    """Return repetitions together, as the report does."""
    from cl_strategies.reports.analysis.grouping import group_records

    of = {run.record.config_hash: run for run in found if run.metrics}
    groups = group_records(run.record for run in of.values())
    return {
        (group.benchmark, group.strategy): [of[record.config_hash] for record in group.records]
        for group in groups
    }


def _line(metrics: list[DerivedMetric]) -> str:
    """Return the mean and standard deviation of numbers, a list as it is if there is one."""
    known = [metric.value for metric in metrics if metric.value is not None]
    left = len(metrics) - len(known)
    undefined = next((m.undefined_reason for m in metrics if m.value is None), "")
    if not known:
        return f"undefined: {undefined}"
    more = f" (undefined in {left}: {undefined})" if left else ""
    numbers = [value for value in known if isinstance(value, int | float)]
    if len(known) == 1 or not numbers:
        first = _shown(known[0])
        others = f" ({count(len(known) - 1, 'more list')} in metrics.json)"
        return first + (others if len(known) > 1 else "") + more
    return f"{fmean(numbers):.6g} ± {stdev(numbers):.3g}{more}"


def _shown(value: Any) -> str:
    if not isinstance(value, list):
        return MISSING if value is None else format(value, ".6g")
    if value and isinstance(value[0], list):
        return "".join(f"\n    {_shown(row)}" for row in value[:_LONGEST_LIST]) + _more(value)
    return " ".join(_shown(item) for item in value[:_LONGEST_LIST]) + _more(value)


def _more(value: list[Any]) -> str:
    left = len(value) - _LONGEST_LIST
    return f" ... and {left} more, in metrics.json" if left > 0 else ""


def _list_of_keys() -> str:
    from cl_strategies.reports.derived.keys import KEYS, definition

    lines = []
    for key in KEYS:
        found = definition(key)
        better = {"higher": "↑", "lower": "↓", "zero": "0", "none": " "}[found.direction]
        source = f" [{found.source}]" if found.source else ""
        lines.append(f"{key:34} {better} {found.meaning}{source}")
    return "\n".join(lines)

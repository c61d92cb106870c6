"""What a suite needs before it can start, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cl_strategies.cli.describing.hours import HOURS, hours_text
from cl_strategies.results.formatting import count

if TYPE_CHECKING:
    from cl_strategies.benchmarks import DatasetStatus
    from cl_strategies.experiment.config.suite import Suite


def needs_text(suite: Suite, runs: int, statuses: Sequence[DatasetStatus]) -> str:
    """Return how many runs ``suite`` has, what all of it is expected to cost, and its data sets.

    :param runs: how many of them are asked for.
    """
    cost = hours_text({key: getattr(suite, key) for key in HOURS})
    names = [f"{status.name}{'' if status.present else ' (missing)'}" for status in statuses]
    return (
        f"{suite.name}: {count(runs, 'run')}; expected of the whole recipe: {cost}; "
        f"data sets: {', '.join(names) or 'none that must be fetched'}"
    )


def data_text(missing: Sequence[DatasetStatus]) -> str:
    """Return which data sets are missing and how to get each."""
    return "\n".join(
        [
            f"{count(len(missing), 'data set')} missing, nothing was started:",
            *(status.message() for status in missing),
        ]
    )

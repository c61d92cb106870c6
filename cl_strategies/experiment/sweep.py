"""Many runs, and what became of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.experiment.config import ExperimentConfig
from cl_strategies.experiment.executors import executor
from cl_strategies.experiment.rundir import RunDirectory
from cl_strategies.reports.schema import RunRecord

logger = logging.getLogger(__name__)

#: Called with each config as its run ends, and the problem if it left no result.
Progress = Callable[[ExperimentConfig, str | None], None]


@dataclass(frozen=True)
class Comparison:
    """The records of the runs that ended, and the problems of those that left none."""

    records: list[RunRecord]
    problems: dict[str, str]

    @property
    def failed(self) -> list[RunRecord]:
        return [record for record in self.records if record.status == "failed"]

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why runs failed: message -> the names of their directories."""
        reasons: dict[str, list[str]] = {}
        for record in self.failed:
            slug = ExperimentConfig.from_dict(record.config).slug
            reasons.setdefault((record.error or {})["message"], []).append(slug)
        return reasons


def compare(
    configs: Sequence[ExperimentConfig],
    out: str | Path,
    *,
    executor_name: str = "process",
    executor_options: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    shard: tuple[int, int] = (0, 1),
    progress: Progress | None = None,
) -> Comparison:
    """Do every run that is not done yet.

    :param configs: the runs, in the order of the report.
    :param out: folder of the comparison; runs go to ``out/runs``.
    :param executor_name: ``"process"``, ``"serial"`` or ``"ray"``.
    :param executor_options: ``address`` and ``gpus`` of the ray executor.
    :param jobs: runs at a time; as many as there are cores for, if not given.
    :param shard: ``(i, n)``: do only every n-th run, from the i-th (from 0).
    :param progress: told as each run ends, finished ones first.
    :raises UserError: for bad input that no run could have survived.
    """
    start = executor(executor_name, **(executor_options or {}))
    out = Path(out)
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs is {jobs}: give at least 1")
    index, count = shard
    if not 0 <= index < count:
        raise UserError(f"shard {index}/{count}: give i/n with 0 <= i < n")

    problems: dict[str, str] = {}
    tell = progress or (lambda config, problem: None)
    todo = []
    for config in configs[index::count]:
        try:
            directory = RunDirectory(out, config)
            done = directory.outcome(repeat=directory.stamp()) is not None
        except UserError as error:
            problems[config.slug] = str(error)
            done = True
        if done:
            tell(config, problems.get(config.slug))
        else:
            todo.append(config)

    if todo:
        for outcome in start(todo, out, jobs=jobs):
            if outcome.problem is not None:
                problems[outcome.config.slug] = outcome.problem
            tell(outcome.config, outcome.problem)

    records = []
    for config in configs:
        if config.slug in problems:
            continue
        try:
            record = RunDirectory(out, config).record()
        except UserError as error:  # a run of another shard
            problems[config.slug] = str(error)
            continue
        if record is not None:
            records.append(record)
    return Comparison(records, problems)

"""Many runs, and what became of them."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.rerun import ask, is_asked, last_record
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.identity.run_identity import Identities
from cl_strategies.experiment.sweep.attempts import Watching
from cl_strategies.experiment.sweep.executors import executor
from cl_strategies.experiment.sweep.objects import check_reach, configs_of
from cl_strategies.experiment.sweep.preflight import check_configs
from cl_strategies.results.formatting import count, listing
from cl_strategies.results.record import RunRecord

logger = logging.getLogger(__name__)

#: Called with each config as its run ends, and the problem if it left no result.
Progress = Callable[[ExperimentConfig, str | None], None]


@dataclass(frozen=True)
class Comparison:
    """What became of the runs.

    :param records: of all runs that have ended, those of other shards, too.
    :param problems: of the runs of this shard that left no readable result, by their names.
    :param failures: records of the failed runs of this shard, by their names.
    :param missing: the names of all runs that have no readable result yet.
    :param read: of the runs of this shard that were done before and were not computed now, by
        their names: in what their data and code differ from what is here, ``""`` if in nothing.
    """

    records: list[RunRecord]
    problems: dict[str, str]
    failures: dict[str, RunRecord]
    missing: list[str]
    read: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Say how many runs ended how; the fields have the rest."""
        failed = sum(record.status == "failed" for record in self.records)
        return (
            f"<Comparison: {len(self.records) - failed} finished, {failed} failed, "
            f"{len(self.missing)} missing>"
        )

    @property
    def failed(self) -> list[RunRecord]:
        return list(self.failures.values())

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why runs failed: message -> the names of their directories."""
        reasons: dict[str, list[str]] = {}
        for slug, record in self.failures.items():
            reasons.setdefault((record.error or {})["message"], []).append(slug)
        return reasons


def compare(
    configs: Sequence[ExperimentConfig] | None = None,
    out: str | Path = "comparison",
    *,
    strategies: Sequence[Any] | None = None,
    benchmarks: Sequence[Any] = (),
    model: Any = "mlp",
    seeds: Sequence[int] = (0,),
    settings: Mapping[str, Any] | None = None,
    executor_name: str = "process",
    executor_options: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    shard: tuple[int, int] = (0, 1),
    rerun: bool = False,
    progress: Progress | None = None,
    watch: Watching | None = None,
) -> Comparison:
    """Do every run that is not done yet.

    :param configs: the runs, in the order of the report; or give ``strategies``.
    :param out: folder of the comparison; runs go to ``out/runs``.
    :param strategies: names, tables with a name and options, classes or functions that make one,
        or ``functools.partial`` of these with options: each runs on each of ``benchmarks`` with
        each of ``seeds``.
    :param benchmarks: likewise; also benchmarks themselves, of this package or of Avalanche.
    :param model: likewise, one for all.
    :param seeds: of the runs.
    :param settings: ``{"train.epochs": 3}`` sets any key of all runs.
    :param executor_name: ``"process"``, ``"serial"`` or ``"ray"``.
    :param executor_options: ``address`` and ``gpus`` of the ray executor.
    :param jobs: runs at a time; as many as there are cores for, if not given.
    :param shard: ``(i, n)``: do only every n-th run, from the i-th (from 0).
    :param rerun: do finished runs again, too (:mod:`cl_strategies.experiment.directory.rerun`).
    :param progress: told as each run ends, finished ones first.
    :param watch: told where the runs that are computed are, about twice a second for each; the ray
        executor tells nothing.
    :raises UserError: for bad input that no run could have survived.
    """
    _check_not_imported()
    start = executor(executor_name, **(executor_options or {}))
    out = Path(out)
    if (configs is None) == (strategies is None):
        raise UserError("give the runs either as configs, or as strategies and benchmarks")
    if strategies is not None:
        configs = configs_of(
            strategies=strategies,
            benchmarks=benchmarks,
            model=model,
            seeds=seeds,
            settings=settings,
        )
        check_configs(configs, device=executor_name != "ray")
    configs = configs or []
    check_reach(configs, executor_name)
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise UserError(f"jobs is {jobs!r}: give at least 1")
    for options in {config.logging for config in configs}:
        options.check_installed()
    index, shards = shard
    if not 0 <= index < shards:
        raise UserError(f"shard {index}/{shards}: give i/n with 0 <= i < n")

    problems: dict[str, str] = {}
    tell = progress or (lambda config, problem: None)
    mine = configs[index::shards]
    if rerun:
        ask(mine, out)
    todo = []
    read: dict[str, str] = {}
    identities = Identities()
    for config in mine:
        try:
            directory = RunDirectory(out, config)
            record = directory.outcome(repeat=directory.stamp())
            done = record is not None and not is_asked(config, out)
            if record is not None and done:
                read[config.slug] = identities.difference(directory, record)
                if strategies is not None and read[config.slug]:
                    logger.warning("%s: %s", config.slug, read[config.slug])
        except UserError as error:
            problems[config.slug] = str(error)
            done = True
        if done:
            tell(config, problems.get(config.slug))
        else:
            todo.append(config)

    if todo:
        for outcome in start(todo, out, jobs=jobs, watch=watch):
            if outcome.problem is not None:
                problems[outcome.config.slug] = outcome.problem
            tell(outcome.config, outcome.problem)

    found = {c.slug: None if c.slug in problems else _ended(c, out) for c in configs}
    ended = {slug: record for slug, record in found.items() if record is not None}
    own = {config.slug for config in mine}
    comparison = Comparison(
        records=list(ended.values()),
        problems=problems,
        failures={k: r for k, r in ended.items() if k in own and r.status == "failed"},
        missing=[slug for slug, record in found.items() if record is None],
        read=read,
    )
    if strategies is not None:  # a script or notebook, to which nobody else says it
        for reason, slugs in comparison.reasons.items():
            logger.warning("%s failed (%s): %s", count(len(slugs), "run"), listing(slugs), reason)
    return comparison


def _check_not_imported() -> None:
    """:raises UserError: while a worker process imports the script that started it."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UserError(
            "compare is called by a script that its worker processes import, too, so that each of "
            'them would compare again: put what starts it below if __name__ == "__main__":, or '
            'give executor_name="serial"'
        )


def _ended(config: ExperimentConfig, out: Path) -> RunRecord | None:
    """Return ``None`` also for a damaged result, which is named by the shard that has the run."""
    try:
        return last_record(config, out)
    except UserError:
        return None

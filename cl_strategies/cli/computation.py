"""Commands that compute and report: run, compare, recipes run, report."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cl_strategies.cli.arguments import notation
from cl_strategies.cli.arguments.executor_options import executor_options
from cl_strategies.cli.arguments.short_forms import settings, settings_of_one_run, without_places
from cl_strategies.cli.arguments.suites import suite_to_compare
from cl_strategies.cli.console import answer, note, say, warn
from cl_strategies.cli.exit_codes import EXIT_FAILED_RUNS, EXIT_OK
from cl_strategies.cli.outcomes import exit_code_of
from cl_strategies.cli.progress import run_progress

if TYPE_CHECKING:
    from cl_strategies.experiment.config.run_config import ExperimentConfig
    from cl_strategies.experiment.config.suite import Suite


def run(options: argparse.Namespace) -> int:
    """Do one run and print its numbers."""
    from cl_strategies.experiment.config.run_config import ExperimentConfig, override
    from cl_strategies.experiment.setup import portable

    overrides = settings_of_one_run(options)
    if options.config:
        config = ExperimentConfig.from_toml(options.config, overrides)
    else:
        config = ExperimentConfig.from_dict(override({}, overrides))
    if config.run.portable and not portable.is_active():
        portable.check_machine()
        with portable.started(True):
            return subprocess.call([sys.executable, "-m", "cl_strategies", *options.arguments])
    say(f"{config.slug}")
    from cl_strategies.experiment.directory.rerun import is_asked
    from cl_strategies.experiment.directory.run_directory import RunDirectory
    from cl_strategies.experiment.engine.runner import run

    out = options.out or "comparison"
    told: list[str] = []
    with run_progress(1) as shown:
        watch = partial(shown.at, config.slug)
        record = run(config, out, watch=watch, rerun=options.rerun, told=told.append)
        shown.ended(config.slug)
    for text in told:
        warn(text)
    if told and config.logging.to:
        warn("nothing is logged of a run that is read")
    for name, value in record.metrics.items():
        answer(f"{name:30} {'undefined' if value is None else format(value, '.6g')}")
    if record.status == "failed":
        warn(f"the run failed: {(record.error or {})['message']}")
        if is_asked(config, out):
            warn("its result of before is still there; the same command tries again")
    answer(str(RunDirectory(out, config).result))
    return EXIT_FAILED_RUNS if record.status == "failed" else EXIT_OK


def compare_suite(options: argparse.Namespace) -> int:
    """Run strategies x benchmarks x seeds x orders, and write the report."""
    suite = suite_to_compare(options)
    return _compare(suite, suite.configs(settings(options)), options)


def run_recipe(options: argparse.Namespace) -> int:
    """Say what a recipe needs, and compare if its data are here.

    :raises UserError: for a name of no recipe, or if data sets are missing; it names all of them.
    """
    from cl_strategies.cli.describing.names import check_recipe
    from cl_strategies.cli.describing.needs import data_text, needs_text
    from cl_strategies.errors import DataMissingError
    from cl_strategies.experiment.sweep.preflight import datasets_of

    check_recipe(options.suite)
    suite = suite_to_compare(options)
    configs = suite.configs(settings(options))
    statuses = datasets_of(configs)
    note(needs_text(suite, len(configs), statuses))
    if missing := [status for status in statuses if not status.present]:
        raise DataMissingError(data_text(missing))
    return _compare(suite, configs, options)


def _compare(suite: Suite, configs: list[ExperimentConfig], options: argparse.Namespace) -> int:
    from cl_strategies.experiment.sweep.compare import compare
    from cl_strategies.experiment.sweep.preflight import check_configs
    from cl_strategies.reports.derived.folder import add_metrics, split
    from cl_strategies.results.heading import Origin, write_heading
    from cl_strategies.results.published import write_published

    out = Path(options.out or Path("comparison") / suite.name)
    say(f"{suite.name}: {len(configs)} runs in {out}")
    elsewhere = options.executor == "ray" and (options.address or os.environ.get("RAY_ADDRESS"))
    check_configs(configs, device=not elsewhere)
    split(suite.metrics)
    with run_progress(len(configs)) as shown:
        result = compare(
            configs,
            out,
            executor_name=options.executor,
            executor_options=executor_options(options),
            jobs=options.jobs,
            shard=notation.shard(options.shard),
            rerun=options.rerun,
            progress=lambda config, problem: shown.ended(config.slug),
            watch=lambda config, moment: shown.at(config.slug, moment),
        )
    exit_code = exit_code_of(result)
    left = len(set(result.missing) - set(result.problems))
    if left:
        warn(f"{left} of {len(configs)} runs have no result yet: they belong to other shards")
    if result.records:
        write_published(out, suite.published)
        origin = Origin(options.suite or "", without_places(settings(options)))
        write_heading(out, suite.name, suite.title, origin)
        if suite.metrics:
            add_metrics(out, suite.metrics)
        _write_report(out, out, None, said=" ".join(result.problems.values()))
    return exit_code


def report(options: argparse.Namespace) -> int:
    """Write the report of a folder of runs again."""
    folder = Path(options.folder)
    _write_report(folder, Path(options.out or folder), None, against=options.against)
    return EXIT_OK


def _write_report(
    folder: Path, out: Path, title: str | None, said: str = "", against: str | None = None
) -> None:
    """:param said: what was printed before; damaged files that it names are not named again."""
    from cl_strategies.reports import write_report

    paths = write_report(folder, out, title=title, against=against)
    for problem in paths.problems:
        file = folder / problem.file
        if str(file) not in said:
            warn(f"{file}: {problem.message}")
    answer(paths.table)
    for sentence in (*paths.mixed, *paths.inert):
        warn(sentence)
    if paths.against:
        answer(paths.against)
    answer(f"report: {paths.html}")

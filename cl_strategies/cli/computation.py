"""Commands that compute: run, compare, tune, report."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_strategies.cli import notation
from cl_strategies.cli.console import answer, progress_bar, say, warn
from cl_strategies.cli.exit_codes import EXIT_BAD_INPUT, EXIT_FAILED_RUNS, EXIT_OK
from cl_strategies.cli.outcomes import say_what_failed, say_what_was_read
from cl_strategies.errors import UserError

if TYPE_CHECKING:
    from cl_strategies.experiment.config.run_config import ExperimentConfig
    from cl_strategies.experiment.config.suite import Suite
    from cl_strategies.experiment.sweep.compare import Comparison


def run(options: argparse.Namespace) -> int:
    """Do one run and print its numbers."""
    from cl_strategies.experiment.config.run_config import ExperimentConfig, override
    from cl_strategies.experiment.setup import portable

    names = {"benchmark": options.benchmark, "strategy": options.strategy}
    named = {f"{table}.name": name for table, name in names.items() if name}
    overrides = {**named, **_overrides(options)}
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
    with progress_bar("experiences") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        record = run(config, out, progress=progress, rerun=options.rerun, told=told.append)
    for text in told:
        warn(text)
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
    from cl_strategies.experiment.sweep.compare import compare
    from cl_strategies.experiment.sweep.preflight import check_configs
    from cl_strategies.results.heading import write_heading
    from cl_strategies.results.published import write_published

    suite = _suite(options)
    configs = suite.configs(_overrides(options))
    out = Path(options.out or Path("comparison") / suite.name)
    say(f"{suite.name}: {len(configs)} runs in {out}")
    elsewhere = options.executor == "ray" and (options.address or os.environ.get("RAY_ADDRESS"))
    check_configs(configs, device=not elsewhere)
    with progress_bar("runs", total=len(configs)) as bar:

        def progress(config: ExperimentConfig, problem: str | None) -> None:
            bar.set_postfix_str(f"{config.strategy.name} on {config.benchmark.name}")
            bar.update()

        result = compare(
            configs,
            out,
            executor_name=options.executor,
            executor_options=_executor_options(options),
            jobs=options.jobs,
            shard=notation.shard(options.shard),
            rerun=options.rerun,
            progress=progress,
        )
    exit_code = _said(result)
    left = len(set(result.missing) - set(result.problems))
    if left:
        warn(f"{left} of {len(configs)} runs have no result yet: they belong to other shards")
    if result.records:
        write_published(out, suite.published)
        write_heading(out, suite.name, suite.title)
        _write_report(out, out, None, said=" ".join(result.problems.values()))
    return exit_code


def _said(result: Comparison) -> int:
    """Say what became of the runs; the exit code that follows."""
    say_what_was_read(result)
    say_what_failed(result)
    if result.problems:
        return EXIT_BAD_INPUT
    return EXIT_FAILED_RUNS if result.failed else EXIT_OK


def _suite(options: argparse.Namespace) -> Suite:
    from dataclasses import replace

    from cl_strategies.experiment.config.suite import Suite
    from cl_strategies.experiment.config.suite_parts import part_of

    benchmarks, strategies = notation.names(options.benchmark), notation.names(options.strategies)
    if options.suite:
        suite = part_of(Suite.from_toml(options.suite), benchmarks, strategies)
    elif benchmarks and strategies:
        suite = Suite(
            benchmarks=[{"name": name} for name in benchmarks],
            strategies=[{"name": name} for name in strategies],
        )
    else:
        raise UserError(
            "nothing to compare: name a suite (`compare quickstart`, `compare FILE.toml`), or give "
            "--benchmark and --strategies"
        )
    if options.seeds is not None:
        suite = replace(suite, seeds=notation.integers("--seeds", options.seeds))
    if options.orders is not None:
        suite = replace(suite, orders=notation.orders("--orders", options.orders))
    return suite


def tune_suite(options: argparse.Namespace) -> int:
    """Choose the hyper-parameters of a suite with its grid."""
    from cl_strategies.experiment.config.suite import Suite
    from cl_strategies.experiment.config.suite_parts import part_of
    from cl_strategies.experiment.sweep.tuning import trials, tune

    benchmarks, strategies = notation.names(options.benchmark), notation.names(options.strategies)
    suite = part_of(Suite.from_toml(options.suite), benchmarks, strategies)
    total = sum(len(trial.configs) for trial in trials(suite))
    exit_codes: list[int] = []
    with progress_bar("runs", total=total) as bar:
        tuned = tune(
            suite,
            options.out or Path("tuning") / suite.name,
            executor_name=options.executor,
            executor_options=_executor_options(options),
            jobs=options.jobs,
            progress=lambda config, problem: bar.update() and None,
            told=lambda result: exit_codes.append(_said(result)),
            warn=warn,
        )
    answer(tuned.read_text(encoding="utf-8"))
    answer(f"{tuned}\n{tuned.with_name('tuning.csv')}")
    return max(exit_codes)


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
    for sentence in paths.mixed:
        warn(sentence)
    if paths.against:
        answer(paths.against)
    answer(f"report: {paths.html}")


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    from cl_strategies.experiment.config.run_config import parse_assignment

    overrides = dict(parse_assignment(text) for text in options.overrides)
    if options.data_root:
        overrides["benchmark.data_root"] = options.data_root
    return overrides


def _executor_options(options: argparse.Namespace) -> dict[str, Any]:
    return {"address": options.address, "gpus": options.gpus_per_run}

"""``cl-strategies``: list, show, run, compare, tune, report, datasets, doctor.

Only what a command needs is imported, when it is needed: Avalanche takes seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_strategies import arguments
from cl_strategies.console import answer, hold_streams, progress_bar, say, warn
from cl_strategies.errors import UserError
from cl_strategies.outcomes import say_what_failed, say_what_was_read

if TYPE_CHECKING:
    from cl_strategies.experiment.config import ExperimentConfig
    from cl_strategies.experiment.suite import Suite
    from cl_strategies.experiment.sweep import Comparison

EXIT_OK, EXIT_FAILED_RUNS, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done. 1: done, but a run failed (the report says why). 2: bad input, said in one message.
    """
    # Avalanche's solver dependency warns on import about solvers that nothing here uses.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:no QP solver found:UserWarning")
    import warnings

    warnings.filterwarnings("ignore", message="no QP solver found")
    hold_streams()
    options = _parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return options.command(options)
    except UserError as error:
        warn(str(error))
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        say("")  # ends the line of the bar, and of ^C
        warn("interrupted; the same command continues")
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    from cl_strategies import __version__

    parser = argparse.ArgumentParser(
        prog="cl-strategies",
        description="Compare continual-learning strategies on Avalanche's benchmark streams.",
        epilog="first steps:\n  cl-strategies compare quickstart\n  cl-strategies show alasso",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cl-strategies {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Any], int], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(command=run)
        return sub

    sub = command("list", _list, "list strategies, benchmarks, models, codecs...")
    sub.add_argument("kind", nargs="?", help="such as strategies or codecs; all if not given")
    sub.add_argument("--json", action="store_true", help="print a JSON list of objects")

    sub = command("show", _show, "show what one name or recipe is, and its options")
    sub.add_argument("name", metavar="NAME", help="or KIND/NAME where two kinds share a name")
    sub.add_argument("--json", action="store_true", help="print a JSON object")

    sub = command("run", _run, "do one run and print its numbers")
    sub.add_argument("config", nargs="?", help="TOML file; or give --benchmark and --strategy")
    sub.add_argument("--benchmark", metavar="NAME", help="benchmark of the run")
    sub.add_argument("--strategy", metavar="NAME", help="strategy of the run")
    _add_rerun(sub, "do it again if it is done; the old result is there until the new one is")
    _add_common(sub, out="runs go to DIR/runs (default: comparison)")

    sub = command("compare", _compare, "run strategies x benchmarks x seeds x orders, and report")
    sub.add_argument("suite", nargs="?", help="TOML file, or the name of a recipe: quickstart")
    sub.add_argument(
        "--benchmark", metavar="A,B", help="benchmarks (of the suite, if one is given)"
    )
    sub.add_argument("--strategies", metavar="A,B", help="strategies (likewise)")
    sub.add_argument("--seeds", metavar="0-2", help="seeds: 0,1,5 or 0-4")
    sub.add_argument("--orders", metavar="0-4", help="task orders: seeds 0-4, or names A-E")
    sub.add_argument(
        "--shard", metavar="I/N", default="0/1", help="do every N-th run, from the I-th"
    )
    _add_rerun(sub, "do finished runs again; old results are there until the new ones are")
    _add_executor(sub)
    _add_common(sub, out="folder of the comparison (default: comparison/SUITE)")

    sub = command("tune", _tune, "choose the suite's hyper-parameters with its [tuning] grid")
    sub.add_argument("suite", help="TOML file, or the name of a recipe")
    sub.add_argument("--benchmark", metavar="A,B", help="of the suite's benchmarks only these")
    sub.add_argument("--strategies", metavar="A,B", help="of the suite's strategies only these")
    _add_executor(sub)
    sub.add_argument("--out", metavar="DIR", help="folder (default: tuning/SUITE)")

    sub = command("report", _report, "write the report of a folder of runs again")
    sub.add_argument("folder", help="what --out was")
    sub.add_argument("--out", metavar="DIR", help="where the report goes (default: the folder)")

    sub = command("datasets", _datasets, "say which data sets are here, and get them")
    sub.add_argument("action", choices=["check", "fetch"], help="check all, or fetch one")
    sub.add_argument("name", nargs="?", help="the data set to fetch, or to check alone")
    sub.add_argument("--data-root", metavar="DIR", help="folder of data sets")
    sub.add_argument("--json", action="store_true", help="print a JSON list of objects")

    command("doctor", _doctor, "say what is installed, what is broken and how to mend it")
    return parser


def _add_common(sub: argparse.ArgumentParser, out: str) -> None:
    sub.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="set any key, such as train.epochs=3 or strategy.c=0.5; may be repeated",
    )
    sub.add_argument("--data-root", metavar="DIR", help="folder of data sets")
    sub.add_argument("--out", metavar="DIR", help=out)


def _add_rerun(sub: argparse.ArgumentParser, help: str) -> None:
    sub.add_argument("--rerun", action="store_true", help=help)


def _add_executor(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--executor", metavar="NAME", default="process", help="process, serial or ray")
    sub.add_argument("--jobs", type=int, metavar="N", help="runs at a time (default: cores)")
    sub.add_argument(
        "--address", metavar="HOST:PORT", help="Ray cluster (default: Ray on this machine)"
    )
    sub.add_argument(
        "--gpus-per-run", type=float, metavar="X", help="with ray on GPUs: 1, or a share like 0.25"
    )


def _executor_options(options: argparse.Namespace) -> dict[str, Any]:
    return {"address": options.address, "gpus": options.gpus_per_run}


def _list(options: argparse.Namespace) -> int:
    from cl_strategies.registry import KINDS, registry

    kinds = [options.kind] if options.kind else list(KINDS)
    if options.json:
        rows = [{"kind": kind, **e.describe()} for kind in kinds for e in registry(kind)]
        answer(json.dumps(rows, indent=2))
        return EXIT_OK
    for kind in kinds:
        width = max(len(entry.name) for entry in registry(kind))
        answer(f"{kind}:")
        for entry in registry(kind):
            answer(f"  {entry.name:{width}}  {entry.summary}")
    return EXIT_OK


def _show(options: argparse.Namespace) -> int:
    from cl_strategies.errors import unknown_name
    from cl_strategies.experiment.description import describe_suite, to_dict
    from cl_strategies.experiment.suite import Suite, recipes
    from cl_strategies.registry import KINDS, registry

    if options.name in recipes():
        suite = Suite.from_toml(options.name)
        answer(json.dumps(to_dict(suite), indent=2) if options.json else describe_suite(suite))
        return EXIT_OK
    found = [(kind, entry) for kind in KINDS for entry in registry(kind)]
    entries = {f"{kind}/{entry.name}": (kind, entry) for kind, entry in found}
    entries |= {entry.name: (kind, entry) for kind, entry in reversed(found)}  # first kind wins
    if options.name not in entries:
        raise unknown_name("name", options.name, {**entries, **recipes()})
    kind, entry = entries[options.name]
    defaults = entry.defaults()
    if options.json:
        answer(json.dumps({"kind": kind, **entry.describe(), "options": defaults}, indent=2))
        return EXIT_OK
    answer(f"{entry.name} ({kind})\n  {entry.summary}")
    for title, text in (
        ("paper", entry.paper),
        ("scenarios", ", ".join(entry.scenarios)),
        ("needs", ", ".join(entry.needs)),
        ("code", entry.factory),
    ):
        if text:
            answer(f"  {title}: {text}")
    table = "quantization" if kind == "quantisers" else registry(kind).singular
    answer("  options:" if defaults else "  no options")
    for key, value in sorted(defaults.items()):
        answer(f"    {table}.{key} = {'(not set)' if value is None else json.dumps(value)}")
    return EXIT_OK


def _run(options: argparse.Namespace) -> int:
    from cl_strategies.experiment import portable
    from cl_strategies.experiment.config import ExperimentConfig, override

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
    from cl_strategies.experiment.rerun import is_asked
    from cl_strategies.experiment.rundir import RunDirectory
    from cl_strategies.experiment.runner import run

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


def _compare(options: argparse.Namespace) -> int:
    from cl_strategies.experiment.checks import check_configs
    from cl_strategies.experiment.sweep import compare
    from cl_strategies.reports.literature import write_published

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
            shard=arguments.shard(options.shard),
            rerun=options.rerun,
            progress=progress,
        )
    exit_code = _said(result)
    left = len(set(result.missing) - set(result.problems))
    if left:
        warn(f"{left} of {len(configs)} runs have no result yet: they belong to other shards")
    if result.records:
        write_published(out, suite.published)
        _write_report(out, out, suite.name, said=" ".join(result.problems.values()))
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

    from cl_strategies.experiment.suite import Suite
    from cl_strategies.experiment.suite_parts import part_of

    benchmarks, strategies = arguments.names(options.benchmark), arguments.names(options.strategies)
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
        suite = replace(suite, seeds=arguments.integers("--seeds", options.seeds))
    if options.orders is not None:
        suite = replace(suite, orders=arguments.orders("--orders", options.orders))
    return suite


def _tune(options: argparse.Namespace) -> int:
    from cl_strategies.experiment.suite import Suite
    from cl_strategies.experiment.suite_parts import part_of
    from cl_strategies.experiment.tuning import trials, tune

    benchmarks, strategies = arguments.names(options.benchmark), arguments.names(options.strategies)
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
        )
    answer(tuned.read_text(encoding="utf-8"))
    answer(f"{tuned}\n{tuned.with_name('tuning.csv')}")
    return max(exit_codes)


def _report(options: argparse.Namespace) -> int:
    _write_report(Path(options.folder), Path(options.out or options.folder), None)
    return EXIT_OK


def _write_report(folder: Path, out: Path, title: str | None, said: str = "") -> None:
    """:param said: what was printed before; damaged files that it names are not named again."""
    from cl_strategies.reports import write_report

    paths = write_report(folder, out, title=title)
    for problem in paths.problems:
        file = folder / problem.file
        if str(file) not in said:
            warn(f"{file}: {problem.message}")
    answer(paths.table)
    for sentence in paths.mixed:
        warn(sentence)
    answer(f"report: {paths.html}")


def _datasets(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from cl_strategies.benchmarks.datasets import check_dataset
    from cl_strategies.benchmarks.sources import SOURCES

    if options.action == "fetch":
        if not options.name:
            raise UserError("name the data set to fetch; `cl-strategies datasets check` lists them")
        from cl_strategies.benchmarks.downloads import download

        answer(str(download(options.name, options.data_root)))
        return EXIT_OK
    names = [options.name] if options.name else list(SOURCES)
    statuses = [check_dataset(name, options.data_root) for name in names]
    if options.json:
        answer(json.dumps([asdict(status) for status in statuses], indent=2))
    else:
        answer("\n".join(status.message() for status in statuses))
    missing = options.name and not all(status.present for status in statuses)
    return EXIT_BAD_INPUT if missing else EXIT_OK


def _doctor(options: argparse.Namespace) -> int:
    from cl_strategies.doctor import diagnose

    text, healthy = diagnose()
    answer(text)
    return EXIT_OK if healthy else EXIT_BAD_INPUT


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    from cl_strategies.experiment.config import parse_assignment

    overrides = dict(parse_assignment(text) for text in options.overrides)
    if options.data_root:
        overrides["benchmark.data_root"] = options.data_root
    return overrides

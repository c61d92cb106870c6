"""The arguments of each command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from cl_strategies._version import __version__
from cl_strategies.cli import computation, export, information, later_metrics, tuning
from cl_strategies.cli.arguments.command_parser import CommandParser


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; ``options.command`` is what to call."""
    parser = CommandParser(
        prog="cl-strategies",
        description="Compare continual-learning strategies on Avalanche's benchmark streams.",
        epilog="first steps:\n  cl-strategies compare quickstart\n  cl-strategies show alasso",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cl-strategies {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Any], int], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(command=run, command_name=name)
        return sub

    sub = command("list", information.list_names, "list strategies, benchmarks, recipes, models...")
    sub.add_argument("kind", nargs="?", help="such as strategies or recipes; all if not given")
    sub.add_argument("--json", action="store_true", help="print a JSON list of objects")

    sub = command("show", information.show, "show what one name or recipe is, and its options")
    sub.add_argument("name", metavar="NAME", help="or KIND/NAME where two kinds share a name")
    sub.add_argument("--json", action="store_true", help="print a JSON object")

    sub = command("run", computation.run, "do one run and print its numbers")
    sub.add_argument("config", nargs="?", help="TOML file; or give --benchmark and --strategy")
    _add_names(sub, "NAME", "of the run")
    sub.add_argument("--seed", "--seeds", metavar="N", dest="seeds", help="short for run.seed=N")
    _add_rerun(sub, "do it again if it is done; the old result is there until the new one is")
    _add_settings(sub)
    sub.add_argument("--out", metavar="DIR", help="runs go to DIR/runs (default: comparison)")

    sub = command(
        "compare",
        computation.compare_suite,
        "run strategies x benchmarks x seeds x orders, and report",
    )
    sub.add_argument("suite", nargs="?", help="TOML file, or the name of a recipe: quickstart")
    _add_names(sub, "A,B", "(of the suite, if one is given)")
    sub.add_argument("--seeds", "--seed", metavar="0-2", help="seeds: 0,1,5 or 0-4")
    sub.add_argument("--orders", metavar="0-4", help="task orders: seeds 0-4, or names A-E")
    sub.add_argument(
        "--shard", metavar="I/N", default="0/1", help="do every N-th run, from the I-th"
    )
    _add_rerun(sub, "do finished runs again; old results are there until the new ones are")
    _add_executor(sub)
    _add_settings(sub)
    sub.add_argument(
        "--out", metavar="DIR", help="folder of the comparison (default: comparison/SUITE)"
    )

    sub = command(
        "tune", tuning.tune_suite, "choose the suite's hyper-parameters with its [tuning] grid"
    )
    sub.add_argument(
        "suite",
        nargs="?",
        help="TOML file, or the name of a recipe; or give --benchmark and --strategies, which are "
        "tuned with a grid of learning rates and strengths",
    )
    _add_names(sub, "A,B", "(of the suite, if one is given)")
    sub.add_argument(
        "--seeds", "--seed", metavar="1000-1001", help="seeds of the tuning, not of the suite"
    )
    _add_executor(sub)
    _add_settings(sub)
    sub.add_argument("--out", metavar="DIR", help="folder (default: tuning/SUITE)")

    sub = command("report", computation.report, "write the report of a folder of runs again")
    sub.add_argument("folder", help="what --out was")
    sub.add_argument("--out", metavar="DIR", help="where the report goes (default: the folder)")
    sub.add_argument(
        "--against",
        metavar="OTHER",
        help="another report: say what changed since, and what is noise",
    )

    sub = command(
        "metrics",
        later_metrics.metrics,
        "compute metrics of finished runs from what they stored, without training",
    )
    sub.add_argument("folder", nargs="?", help="what --out was")
    sub.add_argument(
        "--add",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="metrics by their keys, or all; those added before are computed again",
    )
    sub.add_argument("--list", action="store_true", help="list the metrics that can be added")

    sub = command("new", information.new, "write the files of a new method: a package that works")
    sub.add_argument("kind", choices=["method"], help="what to write")
    sub.add_argument("name", metavar="NAME", help="of the method, such as my-method")
    sub.add_argument("--folder", metavar="DIR", help="where it goes (default: NAME)")

    sub = command(
        "export", export.export, "write the quantized network of a finished run as a file"
    )
    sub.add_argument("run", metavar="RUN", help="directory of the run: OUT/runs/...")
    sub.add_argument("--format", choices=["onnx"], default="onnx", help="of the file")
    sub.add_argument("--task", type=int, metavar="T", help="the head to take, if there are several")
    sub.add_argument(
        "--check",
        action="store_true",
        help="run the test stream through the file, time it, and write export.json",
    )
    sub.add_argument(
        "--batch", type=int, default=1, metavar="N", help="samples at a time when it is timed"
    )
    sub.add_argument("--data-root", metavar="DIR", help="folder of data sets")

    sub = command("datasets", information.datasets, "say which data sets are here, and get them")
    sub.add_argument("action", choices=["check", "fetch"], help="check all, or fetch one")
    sub.add_argument("name", nargs="?", help="the data set to fetch, or to check alone")
    sub.add_argument("--data-root", metavar="DIR", help="folder of data sets")
    sub.add_argument("--json", action="store_true", help="print a JSON list of objects")

    command("doctor", information.doctor, "say what is installed, what is broken and how to fix it")
    return parser


def _add_names(sub: argparse.ArgumentParser, metavar: str, of_what: str) -> None:
    many = metavar != "NAME"
    for singular, plural in (("benchmark", "benchmarks"), ("strategy", "strategies")):
        sub.add_argument(
            *(f"--{singular}", f"--{plural}"),
            metavar=metavar,
            dest=plural,
            help=f"{plural if many else singular} {of_what}",
        )


def _add_settings(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="set any key, such as train.batch_size=32 or strategy.strength=0.5; may be repeated",
    )
    sub.add_argument("--epochs", metavar="N", help="short for --set train.epochs=N")
    sub.add_argument("--lr", metavar="X", help="short for --set train.lr=X")
    sub.add_argument("--data-root", metavar="DIR", help="folder of data sets")
    sub.add_argument(
        "--log",
        metavar="NAME",
        action="append",
        dest="loggers",
        help="tell csv, mlflow, tensorboard or wandb of each epoch; may be repeated",
    )


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

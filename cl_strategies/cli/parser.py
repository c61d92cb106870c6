"""The arguments of each command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from cl_strategies._version import __version__
from cl_strategies.cli import computation, export, information, later_metrics, tuning
from cl_strategies.cli.arguments.command_parser import CommandParser
from cl_strategies.cli.arguments.option_groups import (
    add_comparison,
    add_executor,
    add_names,
    add_rerun,
    add_settings,
)


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

    def sentence(help: str) -> str:
        return help[0].upper() + help[1:] + "."

    def command(
        name: str, run: Callable[[Any], int], help: str, among: Any = None
    ) -> argparse.ArgumentParser:
        sub = (among or commands).add_parser(
            name, help=help, description=help[0].upper() + help[1:] + "."
        )
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
    add_names(sub, "NAME", "of the run")
    sub.add_argument("--seed", "--seeds", metavar="N", dest="seeds", help="short for run.seed=N")
    add_rerun(sub, "do it again if it is done; the old result is there until the new one is")
    add_settings(sub)
    sub.add_argument("--out", metavar="DIR", help="runs go to DIR/runs (default: comparison)")

    sub = command(
        "compare",
        computation.compare_suite,
        "run strategies x benchmarks x seeds x orders, and report",
    )
    sub.add_argument("suite", nargs="?", help="TOML file, or the name of a recipe: quickstart")
    add_comparison(sub)

    about = "list, show or run the recipes"
    sub = commands.add_parser("recipes", help=about, description=sentence(about))
    recipes = sub.add_subparsers(metavar="ACTION", required=True)

    sub = command("list", information.list_recipes, "list the recipes and what they cost", recipes)
    sub.add_argument("--json", action="store_true", help="print a JSON list of objects")
    sub = command("show", information.show_recipe, "show what a recipe runs and needs", recipes)
    sub.add_argument("suite", metavar="RECIPE", help="its name")
    sub.add_argument("--json", action="store_true", help="print a JSON object")
    sub = command(
        "run",
        computation.run_recipe,
        "say what a recipe needs, then do as compare does; nothing starts while data are missing",
        recipes,
    )
    sub.add_argument("suite", metavar="RECIPE", help="its name")
    add_comparison(sub)

    sub = command(
        "tune", tuning.tune_suite, "choose the suite's hyper-parameters with its [tuning] grid"
    )
    sub.add_argument(
        "suite",
        nargs="?",
        help="TOML file, or the name of a recipe; or give --benchmark and --strategies, which are "
        "tuned with a grid of learning rates and strengths",
    )
    add_names(sub, "A,B", "(of the suite, if one is given)")
    sub.add_argument(
        "--seeds", "--seed", metavar="1000-1001", help="seeds of the tuning, not of the suite"
    )
    add_executor(sub)
    add_settings(sub)
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

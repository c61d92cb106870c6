"""Options that several commands have."""

from __future__ import annotations

import argparse


def add_comparison(sub: argparse.ArgumentParser) -> None:
    """Add what a comparison is asked beside its suite."""
    add_names(sub, "A,B", "(of the suite, if one is given)")
    sub.add_argument("--seeds", "--seed", metavar="0-2", help="seeds: 0,1,5 or 0-4")
    sub.add_argument("--orders", metavar="0-4", help="task orders: seeds 0-4, or names A-E")
    sub.add_argument(
        "--shard",
        metavar="I/N",
        default="0/1",
        help="do every N-th run, from run I: 0/3, 1/3 and 2/3 are all",
    )
    add_rerun(sub, "do finished runs again; old results are there until the new ones are")
    add_executor(sub)
    add_settings(sub)
    sub.add_argument(
        "--out", metavar="DIR", help="folder of the comparison (default: comparison/SUITE)"
    )


def add_names(sub: argparse.ArgumentParser, metavar: str, of_what: str) -> None:
    many = metavar != "NAME"
    for singular, plural in (("benchmark", "benchmarks"), ("strategy", "strategies")):
        sub.add_argument(
            *(f"--{singular}", f"--{plural}"),
            metavar=metavar,
            dest=plural,
            help=f"{plural if many else singular} {of_what}",
        )


def add_settings(sub: argparse.ArgumentParser) -> None:
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


def add_rerun(sub: argparse.ArgumentParser, help: str) -> None:
    sub.add_argument("--rerun", action="store_true", help=help)


def add_executor(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--executor", metavar="NAME", default="process", help="process, serial or ray")
    sub.add_argument("--jobs", type=int, metavar="N", help="runs at a time (default: cores)")
    sub.add_argument(
        "--address", metavar="HOST:PORT", help="Ray cluster (default: Ray on this machine)"
    )
    sub.add_argument(
        "--gpus-per-run", type=float, metavar="X", help="with ray on GPUs: 1, or a share like 0.25"
    )

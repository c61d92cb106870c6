"""Runs of strategies, benchmarks and models that are given as Python objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.config.suite import Suite
from cl_strategies.experiment.identity.given_benchmarks import give, is_benchmark
from cl_strategies.own_code import is_main, is_typed
from cl_strategies.registry import registry


def configs_of(
    *,
    strategies: Sequence[Any],
    benchmarks: Sequence[Any],
    model: Any = "mlp",
    seeds: Sequence[int] = (0,),
    settings: Mapping[str, Any] | None = None,
) -> list[ExperimentConfig]:
    """Return every run, benchmark by benchmark, seed by seed.

    :param strategies: names, tables with a name and options, classes or functions that make one,
        or ``functools.partial`` of these with options.
    :param benchmarks: likewise; also benchmarks themselves, of this package or of Avalanche.
    :param model: likewise, one for all.
    :param settings: ``{"train.epochs": 3}`` sets any key of all runs.
    :raises UserError: for what has no name by which a process could find it, and for anything that
        does not fit.
    """
    rows = {"strategies": strategies, "benchmarks": benchmarks}
    for kind, given in rows.items():
        if isinstance(given, str | Mapping) or not isinstance(given, Sequence) or not given:
            raise UserError(f"{kind} is {given!r}: give a list of at least one")
    tables = {kind: [_table(kind, thing) for thing in given] for kind, given in rows.items()}
    suite = Suite(
        benchmarks=tables["benchmarks"],
        strategies=_labeled(tables["strategies"]),
        seeds=seeds,
        shared={"model": registry("models").table_of(model)},
    )
    return suite.configs(settings)


def _table(kind: str, thing: Any) -> dict[str, Any]:
    if kind == "benchmarks" and is_benchmark(thing):
        return give(thing)
    return registry(kind).table_of(thing)


def check_reach(configs: Sequence[ExperimentConfig], executor: str) -> None:
    """:raises UserError: if a run names what its executor's processes cannot find."""
    for config in configs:
        for name in (config.strategy.name, config.benchmark.name, config.model.name):
            if is_typed(name) and executor != "serial":
                raise UserError(
                    f"{name} was typed in a notebook or at a prompt, where no other process finds "
                    "it: write it into a .py file and import it, or give executor_name='serial'"
                )
            if is_main(name) and executor == "ray":
                raise UserError(
                    f"{name} is in the script that was started, which no node of Ray imports: "
                    "write it into a module of its own and import it"
                )


def _labeled(tables: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ``tables`` with a label each where one name stands several times."""
    names = [table["name"] for table in tables]
    return [
        {"label": f"{k}: {table['name']}", **table} if names.count(table["name"]) > 1 else table
        for k, table in enumerate(tables, 1)
    ]

"""Which suite the command line asks for."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from cl_strategies.cli.arguments import notation
from cl_strategies.errors import UserError

if TYPE_CHECKING:
    from cl_strategies.experiment.config.suite import Suite


def suite_of(options: argparse.Namespace) -> Suite:
    """Return the suite that is named, or that part of it; or one of the benchmarks and strategies
    that are named.

    :raises UserError: for neither, or a suite or a name that is not there.
    """
    from cl_strategies.experiment.config.suite import Suite
    from cl_strategies.experiment.config.suite_parts import part_of

    benchmarks, strategies = map(notation.names, (options.benchmarks, options.strategies))
    if options.suite:
        return part_of(Suite.from_toml(options.suite), benchmarks, strategies)
    command = options.command_name
    if not (benchmarks and strategies):
        raise UserError(
            f"nothing to {command}: name a suite (`{command} quickstart`, `{command} FILE.toml`), "
            "or give --benchmark and --strategies"
        )
    return Suite(
        benchmarks=[{"name": name} for name in benchmarks],
        strategies=[{"name": name} for name in strategies],
    )


def suite_to_compare(options: argparse.Namespace) -> Suite:
    """Return the suite of ``compare``, with the seeds and orders that are given."""
    suite = suite_of(options)
    if options.seeds is not None:
        suite = replace(suite, seeds=notation.integers("--seeds", options.seeds))
    if options.orders is not None:
        suite = replace(suite, orders=notation.orders("--orders", options.orders))
    return suite


def suite_to_tune(options: argparse.Namespace) -> Suite:
    """Return the suite of ``tune``, with the seeds that are given for its grid; one that says
    nothing of tuning gets the grid of a suite without a file."""
    from cl_strategies.experiment.sweep.tuning import TUNING

    suite = suite_of(options)
    if not suite.tuning:
        suite = replace(suite, tuning=TUNING)
    if options.seeds is not None:
        seeds = notation.integers("--seeds", options.seeds)
        suite = replace(suite, tuning={**suite.tuning, "seeds": seeds})
    return suite

"""What the command line says about the runs of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cl_strategies.cli.console import warn
from cl_strategies.cli.exit_codes import EXIT_BAD_INPUT, EXIT_FAILED_RUNS, EXIT_OK

if TYPE_CHECKING:
    from cl_strategies.experiment.sweep.compare import Comparison


def exit_code_of(result: Comparison) -> int:
    """Say what became of the runs, and return the exit code that follows."""
    say_what_was_read(result)
    say_what_failed(result)
    if result.problems:
        return EXIT_BAD_INPUT
    return EXIT_FAILED_RUNS if result.failed else EXIT_OK


def say_what_was_read(result: Comparison) -> None:
    """How many runs are answered from before, and in what their data or code are not those here."""
    if not result.read:
        return
    many = f"{len(result.read)} run{'s' * (len(result.read) > 1)}"
    warn(f"{many} read, not computed: done before; --rerun does them again")
    differing: dict[str, list[str]] = {}
    for slug, difference in result.read.items():
        if difference:
            differing.setdefault(difference, []).append(slug)
    for difference, slugs in differing.items():
        warn(f"{_first_of(slugs)}: {difference}")


def say_what_failed(result: Comparison) -> None:
    """Every reason once."""
    for slug, problem in result.problems.items():
        warn(f"{slug}: {problem}")
    for message, slugs in result.reasons.items():
        warn(f"{_first_of(slugs)} failed: {message}")


def _first_of(slugs: list[str]) -> str:
    return f"{slugs[0]} and {len(slugs) - 1} more" if len(slugs) > 1 else slugs[0]

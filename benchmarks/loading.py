"""A benchmark by its registered name."""

from __future__ import annotations

from typing import Any

from cl_strategies.registry import registry


def load(name: str, **options: Any) -> Any:
    """Make the benchmark that is registered as ``name``, from this package or a third party.

    :param options: options of its factory; the others keep their defaults.
    :raises UserError: for an unknown name or option.
    :raises DataMissingError: if its data are not on this machine.
    """
    entry = registry("benchmarks")[name]
    return entry.load()(**entry.resolve_options(options))

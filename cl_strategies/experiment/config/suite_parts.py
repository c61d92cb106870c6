"""A part of a suite: some of its benchmarks and strategies."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cl_strategies.errors import unknown_name
from cl_strategies.experiment.config.suite import Suite, label_of


def part_of(suite: Suite, benchmarks: Sequence[str], strategies: Sequence[str]) -> Suite:
    """Return the part of ``suite`` with these benchmarks and strategies; all of them if none is
    named.

    :raises UserError: for a name that the suite does not have.
    """
    chosen = _chosen("benchmarks", suite.benchmarks, benchmarks)
    names = {row["name"] for row in chosen}
    kept = _chosen("strategies", suite.strategies, strategies)
    dropped = {label_of(row) for row in suite.strategies} - {label_of(row) for row in kept}
    tuning = dict(suite.tuning)
    if isinstance(own := tuning.get("strategies"), Mapping):
        tuning["strategies"] = {label: own[label] for label in own if label not in dropped}
    return replace(
        suite,
        benchmarks=chosen,
        strategies=kept,
        tuning=tuning,
        published=[table for table in suite.published if table.benchmark in names],
    )


def _chosen(kind: str, rows: Sequence[Any], names: Sequence[str]) -> list[Any]:
    known = {row[key] for row in rows for key in ("name", "label") if key in row}
    wanted = _joined(names, known)
    for name in wanted:
        if name not in known:
            raise unknown_name(f"name among the suite's {kind}", name, known)
    return [row for row in rows if not wanted or {row["name"], row.get("label")} & set(wanted)]


def _joined(names: Sequence[str], known: Collection[str]) -> list[str]:
    """Put labels that have commas together again, which a list of names was split at."""
    found, rest = [], list(names)
    while rest:
        counts = range(len(rest), 0, -1)
        count = next((n for n in counts if ", ".join(rest[:n]) in known), 1)
        found.append(", ".join(rest[:count]))
        del rest[:count]
    return found

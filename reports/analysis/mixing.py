"""Runs of one report that are not runs of one experiment: other code, or other data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cl_strategies.reports.analysis.grouping import Group, literal
from cl_strategies.reports.reading.collection import Run
from cl_strategies.results.formatting import count, listing

_MOST_VERSIONS = 4
#: Settings in which runs on the same data differ.
_SAME_DATA = ("data_root", "cache_bytes", "order")
_UNKNOWN = "identity unknown"


def mixed(runs: Sequence[Run], groups: Sequence[Group]) -> list[str]:
    """Return what to know of means and comparisons over runs of several identities, in
    sentences."""
    finished = [run for run in runs if run.record.finished]
    return [*_by_code(finished, groups), *_by_data(finished, groups)]


def identity_rows(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """For the table of environments: which code and which data the runs had."""
    rows = []
    for run in runs:
        if (identity := run.record.identity) is not None:
            data = {f"data of {run.record.benchmark}": identity.data}
            rows.append({"identity": {**identity.packages, **data}})
    return rows


def _by_code(runs: Sequence[Run], groups: Sequence[Group]) -> list[str]:
    versions: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        for package, version in _packages(run).items():
            known = versions.setdefault(package, {})
            known.setdefault(version, []).append(run.record.config_hash)
    sentences = []
    for package, found in sorted(versions.items()):
        if len(found) > 1:
            which = {hash_: version for version, hashes in found.items() for hash_ in hashes}
            sentences.append(
                f"The runs were not all computed by the same code: {_counted(package, found)}."
                f"{_in_means(groups, which)}"
            )
    return sentences


def _packages(run: Run) -> Mapping[str, str]:
    if run.record.identity is not None:
        return run.record.identity.packages
    version = run.environment.get("cl-strategies")
    return {"cl-strategies": f"{version if isinstance(version, str) else '?'}, {_UNKNOWN}"}


def _by_data(runs: Sequence[Run], groups: Sequence[Group]) -> list[str]:
    data: dict[str, dict[str, dict[str, list[str]]]] = {}
    for run in runs:
        table = run.record.config["benchmark"]
        stream = literal({key: table[key] for key in sorted(table) if key not in _SAME_DATA})
        if (identity := run.record.identity) is not None:
            known = data.setdefault(run.record.benchmark, {}).setdefault(stream, {})
            known.setdefault(identity.data, []).append(run.record.config_hash)
    sentences = []
    for benchmark, streams in sorted(data.items()):
        for found in streams.values():
            if len(found) > 1:
                which = {hash_: one for one, hashes in found.items() for hash_ in hashes}
                sentences.append(
                    f"On {benchmark} the runs were not all done with the same data: "
                    f"{_counted('data', found)}.{_in_means(groups, which)}"
                )
    return sentences


def _counted(what: str, found: Mapping[str, Sequence[str]]) -> str:
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    parts = [f"{what} {name} ({count(len(hashes), 'run')})" for name, hashes in ordered]
    if len(parts) > _MOST_VERSIONS:
        parts[_MOST_VERSIONS - 1 :] = [f"{len(parts) - _MOST_VERSIONS + 1} others"]
    return listing(parts)


def _in_means(groups: Sequence[Group], which: Mapping[str, str]) -> str:
    """Return which means are over runs of more than one."""
    names = [
        f"{group.strategy} on {group.benchmark}"
        for group in groups
        if len({which.get(r.config_hash) for r in group.finished} - {None}) > 1
    ]
    if not names:
        return " No mean mixes them, but comparisons do."
    if len(names) > _MOST_VERSIONS:
        names[_MOST_VERSIONS - 1 :] = [f"{len(names) - _MOST_VERSIONS + 1} others"]
    return f" They are mixed in the means of {listing(names)}: run them again with --rerun."

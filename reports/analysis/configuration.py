"""The configurations and environments behind a report, without repeating what they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cl_strategies.reports.analysis.grouping import Group, flatten, literal

_MOST_VALUES = 6
_OF_A_METHOD = ("strategy", "quantization")


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The options of one strategy.

    :param strategy: its label.
    :param benchmarks: labels of the benchmarks on which it had these options, or ``("all",)``.
    :param options: name and value.
    """

    strategy: str
    benchmarks: tuple[str, ...]
    options: tuple[tuple[str, str], ...]


def hyperparameters(groups: Sequence[Group]) -> list[Hyperparameters]:
    """Options of every strategy; benchmarks with the same options share an item."""
    merged: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for group in groups:
        merged.setdefault((group.strategy, _options(group)), []).append(group.benchmark)
    everywhere = len({group.benchmark for group in groups})
    items = [
        Hyperparameters(
            strategy=strategy,
            options=options,
            benchmarks=("all",) if len(benchmarks) == everywhere > 1 else tuple(benchmarks),
        )
        for (strategy, options), benchmarks in merged.items()
    ]
    return sorted(items, key=lambda item: (item.strategy, item.benchmarks))


def shared_settings(groups: Sequence[Group]) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """For each benchmark the settings that all of its runs share, but those of the methods."""
    result = []
    for benchmark in sorted({group.benchmark for group in groups}):
        configs = [
            flatten({k: table for k, table in record.config.items() if k not in _OF_A_METHOD})
            for group in groups
            if group.benchmark == benchmark
            for record in group.records
        ]
        shared = tuple(
            (key, _unquoted(found[0]))
            for key, found in _values(configs).items()
            if key != "benchmark.name"
            and len(found) == 1
            and all(key in config for config in configs)
        )
        result.append((benchmark, shared))
    return result


def full_configuration(group: Group) -> str:
    """Return every setting of a group by section; settings in which its runs differ list all
    values."""
    values = _values(record.config for record in group.records)
    sections: dict[str, list[str]] = {}
    for key, found in values.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append(f"{name} = {' | '.join(found)}")
    blocks = [f"[{section}]\n" + "\n".join(lines) for section, lines in sections.items()]
    return "\n\n".join(blocks)


def environment_table(environments: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Name and value(s) of everything recorded about the machines and versions."""
    table = []
    for key, found in sorted(_values(environments).items()):
        text = " | ".join(_unquoted(value) for value in found[:_MOST_VALUES])
        more = len(found) - _MOST_VALUES
        table.append((key, f"{text} | and {more} more" if more > 0 else text))
    return table


def _options(group: Group) -> tuple[tuple[str, str], ...]:
    values = _values(
        {**record.config["strategy"], **_quantization(record.config)} for record in group.records
    )
    return tuple(
        (key, " | ".join(_unquoted(value) for value in found))
        for key, found in sorted(values.items())
        if key != "name"
    )


def _quantization(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table ``[quantization]`` under names that tell it from the strategy's options."""
    return flatten({"quantization": config["quantization"]}) if "quantization" in config else {}


def _values(tables: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    values: dict[str, dict[str, None]] = {}
    for table in tables:
        for key, value in flatten(table).items():
            values.setdefault(key, {})[literal(value)] = None
    return {key: list(found) for key, found in values.items()}


def _unquoted(text: str) -> str:
    return text[1:-1] if text.startswith('"') and text.endswith('"') else text

"""What a suite is, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cl_strategies.cli.describing.hours import HOURS, hours_text
from cl_strategies.experiment.config.suite import Suite, label_of
from cl_strategies.registry import registry
from cl_strategies.results.published import WARNING, PublishedTable

_OWN_LINES = ("strategies",)


def describe_suite(suite: Suite) -> str:
    """Return the runs of ``suite`` and the numbers that papers print for them, as text."""
    lines = [f"{suite.name} (recipe)"]
    lines += [f"  {suite.title}"] if suite.title else []
    lines.append(f"  {len(suite.configs())} runs")
    lines.append(f"  expected cost: {hours_text(_hours(suite))}")
    if datasets := _datasets(suite):
        lines.append(f"  data sets: {', '.join(datasets).replace('|', ' or ')}")
    lines.append(f"  seeds: {', '.join(map(str, suite.seeds))}")
    if suite.orders:
        lines.append(f"  task orders: {', '.join(map(str, suite.orders))}")
    lines += [f"  {name}: {_options(table)}" for name, table in suite.shared.items()]
    for title, rows in (("benchmarks", suite.benchmarks), ("strategies", suite.strategies)):
        lines.append(f"  {title}:")
        lines += [f"    {label_of(row)}{_suffix(row)}" for row in rows]
    for table in suite.published:
        lines += ["", *_published(table)]
    return "\n".join([*lines, "", WARNING] if suite.published else lines)


def to_dict(suite: Suite) -> dict[str, Any]:
    """Return the same as plain data."""
    return {
        "kind": "recipes",
        "name": suite.name,
        "title": suite.title,
        "runs": len(suite.configs()),
        **_hours(suite),
        "datasets": _datasets(suite),
        "seeds": list(suite.seeds),
        "orders": list(suite.orders),
        "benchmarks": [dict(row) for row in suite.benchmarks],
        "strategies": [dict(row) for row in suite.strategies],
        **{name: dict(table) for name, table in suite.shared.items()},
        "published_elsewhere": [table.to_dict() for table in suite.published],
    }


def _hours(suite: Suite) -> dict[str, float | None]:
    return {key: getattr(suite, key) for key in HOURS}


def _datasets(suite: Suite) -> list[str]:
    known = registry("benchmarks")
    return list(dict.fromkeys(n for row in suite.benchmarks for n in known[row["name"]].datasets))


def _published(table: PublishedTable) -> Iterator[str]:
    yield f"  published elsewhere: {table.setting}"
    yield f"    {table.source}"
    if table.note:
        yield f"    {table.note}"
    rows = [["", *table.headings], *table.lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "    " + "  ".join([row[0].ljust(widths[0]), *numbers])


def _suffix(row: Mapping[str, Any]) -> str:
    hidden = {"label"} if row.get("label") == row["name"] else set()
    text = _options({k: v for k, v in row.items() if k not in {"name", *_OWN_LINES, *hidden}})
    return f": {text}" if text else ""


def _options(table: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items())

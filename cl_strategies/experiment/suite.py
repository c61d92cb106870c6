"""Many runs from one file: benchmarks x strategies x seeds x task orders.

A suite file has the tables ``[train]``, ``[model]`` and ``[run]`` of a single run, a table
``[suite]`` (``name``, ``seeds``, ``orders``), and arrays ``[[benchmarks]]`` and
``[[strategies]]``. Each element is a name with options, and may hold ``train`` and ``model``
tables of its own; ``[benchmarks.strategies.NAME]`` says what one strategy needs on that
benchmark. What is said later in this list beats what is said earlier: the file's tables, the
benchmark, the strategy, the strategy on that benchmark, the command line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.experiment.config import ExperimentConfig, override, read_toml

_TABLES = ("suite", "train", "model", "run", "benchmarks", "strategies", "tuning")
_SHARED = ("train", "model", "run")
_NAME = re.compile(r"\w[\w .+-]{0,99}")
_RESERVED = (*_SHARED, "strategies", "strength")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A comparison.

    :param benchmarks: tables with at least a ``name``.
    :param strategies: likewise.
    :param seeds: one run each.
    :param orders: seeds of task orders, one run each; empty: what the benchmarks say.
    :param shared: tables ``train``, ``model``, ``run`` for all runs.
    :param tuning: table ``[tuning]``, see :mod:`cl_strategies.experiment.tuning`.
    """

    name: str = "comparison"
    benchmarks: Sequence[Mapping[str, Any]]
    strategies: Sequence[Mapping[str, Any]]
    seeds: Sequence[int] = (0,)
    orders: Sequence[int] = ()
    shared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tuning: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_toml(cls, path: str | Path) -> Suite:
        """Read a suite file, or one that comes with the package, by its name.

        :raises UserError: if it is missing, not TOML, or has unknown tables or keys.
        """
        tables = read_toml(find_suite(path))
        for table in tables:
            if table not in _TABLES:
                raise unknown_name(f"table in {path}", table, _TABLES)
        for table in ("benchmarks", "strategies"):
            _check_array(table, tables.get(table), path)
        for table in ("suite", *_SHARED, "tuning"):
            if not isinstance(tables.get(table, {}), Mapping):
                raise UserError(f"{table} in {path} must be a table of keys and values")
        head = tables.get("suite", {})
        for key in head:
            if key not in {"name", "seeds", "orders"}:
                raise unknown_name("key of [suite]", key, ["name", "seeds", "orders"])
        return cls(
            name=checked_name(head.get("name", Path(path).stem)),
            benchmarks=tables["benchmarks"],
            strategies=tables["strategies"],
            seeds=checked_seeds("suite.seeds", head.get("seeds", [0])),
            orders=checked_seeds("suite.orders", head.get("orders", [])),
            shared={table: tables[table] for table in _SHARED if table in tables},
            tuning=tables.get("tuning", {}),
        )

    def configs(self, overrides: Mapping[str, Any] | None = None) -> list[ExperimentConfig]:
        """Every run, benchmark by benchmark, seed by seed.

        :raises UserError: for anything that does not fit, before a single run has started.
        """
        configs = {}
        orders: list[int | None] = [*self.orders] or [None]
        for benchmark in self.benchmarks:
            for seed in self.seeds:
                for order in orders:
                    for strategy in self.strategies:
                        tables = self.tables(benchmark, strategy)
                        tables.setdefault("run", {})["seed"] = seed
                        if order is not None:
                            tables["benchmark"]["order"] = order
                        config = ExperimentConfig.from_dict(override(tables, overrides or {}))
                        configs[config.hash] = config
        return list(configs.values())

    def tables(
        self, benchmark: Mapping[str, Any], strategy: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """The tables of one run, without seed and order."""
        special = benchmark.get("strategies", {}).get(strategy["name"], {})
        tables = {name: dict(table) for name, table in self.shared.items()}
        for layer in (benchmark, strategy, special):
            for name in _SHARED:
                if name in layer:
                    tables[name] = {**tables.get(name, {}), **layer[name]}
        tables["benchmark"] = _own(benchmark)
        tables["strategy"] = {**_own(strategy), **_own(special)}
        return tables


def _own(layer: Mapping[str, Any]) -> dict[str, Any]:
    return {key: v for key, v in layer.items() if key not in _RESERVED}


def _check_array(table: str, rows: Any, path: str | Path) -> None:
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path} needs at least one [[{table}]] with a name")
    for row in rows:
        if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
            raise UserError(f"each [[{table}]] in {path} needs a name")
        _check_tables(row, f"[[{table}]] of {path}")
        for name, special in row.get("strategies", {}).items():
            if not isinstance(special, Mapping):
                raise UserError(f"strategies.{name} in [[{table}]] of {path} must be a table")
            _check_tables(special, f"strategies.{name} in [[{table}]] of {path}")
    names = [row["name"] for row in rows]
    if table == "strategies" and len(set(names)) < len(names):
        raise UserError(f"a strategy stands twice in {path}: {', '.join(names)}")


def _check_tables(layer: Mapping[str, Any], where: str) -> None:
    for key in (*_SHARED, "strategies"):
        if not isinstance(layer.get(key, {}), Mapping):
            raise UserError(f"{key} in {where} must be a table")


def checked_name(name: Any) -> str:
    """:raises UserError: unless ``name`` can be the name of one folder, anywhere."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(
            f"suite.name is {name!r}: give letters, digits, spaces and any of . _ + - , at most "
            "100, of which the first is a letter, a digit or _; a folder gets this name"
        )
    return name


def checked_seeds(what: str, seeds: Any) -> list[int]:
    """:raises UserError: unless ``seeds`` is a list of different non-negative integers."""
    if (
        not isinstance(seeds, (list, tuple))
        or any(type(seed) is not int or seed < 0 for seed in seeds)
        or len(set(seeds)) < len(seeds)
    ):
        raise UserError(f"{what} is {seeds!r}: give different integers from 0, such as [0, 1, 2]")
    return list(seeds)


def recipes() -> dict[str, Path]:
    """The suite files that come with the package, by name."""
    folder = resources.files("cl_strategies.benchmarks") / "recipes"
    return {Path(str(p)).stem: Path(str(p)) for p in folder.iterdir() if p.name.endswith(".toml")}


def find_suite(path: str | Path) -> Path:
    """:raises UserError: if ``path`` is neither a file nor the name of a recipe."""
    if Path(path).is_file():
        return Path(path)
    known = recipes()
    if str(path) in known:
        return known[str(path)]
    raise unknown_name("suite (neither a file nor a recipe)", str(path), known)

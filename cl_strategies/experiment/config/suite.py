"""Many runs from one file: benchmarks x strategies x bit-widths or budgets x seeds x task orders.

A suite file has the tables ``[train]``, ``[model]``, ``[quantization]`` and ``[run]`` of a single
run, a table ``[suite]`` (``name``, ``title``, ``seeds``, ``orders``, ``bits``, ``mem_bytes``,
``metrics``, ``gpu_hours`` or ``cpu_hours``), and arrays ``[[benchmarks]]`` and ``[[strategies]]``.
Each element is a name with options, and may hold ``train``, ``model`` and ``quantization`` tables
of its own; ``[benchmarks.strategies.NAME]`` says what one strategy needs on that benchmark. What is
said later in this list beats what is said earlier: the file's tables, the benchmark, the strategy,
the strategy on that benchmark, the command line.

Arrays ``[[published]]`` hold what papers print for these benchmarks
(:class:`~cl_strategies.results.published.PublishedTable`). They are kept beside the runs and shown
in a section of their own.

A strategy that stands several times, with different options, needs a ``label`` each time; NAME is
then the label, or the name for what all of them need.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.experiment.config.data_root import check_paths
from cl_strategies.experiment.config.layers import laid_over
from cl_strategies.experiment.config.quantization import OWN_BITS, quantizes_itself
from cl_strategies.experiment.config.reading import read_toml
from cl_strategies.experiment.config.run_config import (
    ExperimentConfig,
    override,
    present_names,
)
from cl_strategies.experiment.config.suite_checks import (
    SHARED,
    check_array,
    check_bits,
    check_budgets,
    check_hours,
    check_labels,
    check_metrics,
    check_name,
    check_orders,
    check_seeds,
    check_tables,
)
from cl_strategies.registry import registry
from cl_strategies.results.published import PublishedTable
from cl_strategies.validation.plain_data import check_table, shown

_TABLES = ("suite", *SHARED, "benchmarks", "strategies", "tuning", "published")
_HOURS = ("gpu_hours", "cpu_hours")
_HEAD = ("name", "title", "seeds", "orders", "bits", "mem_bytes", "metrics", *_HOURS)
_RESERVED = (*SHARED, "strategies", "label")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A comparison.

    :param title: what it compares, in one line: ``"PAPER, Table 1: ..."`` for a table of a paper.
    :param benchmarks: tables with at least a ``name``.
    :param strategies: likewise.
    :param seeds: one run each.
    :param orders: seeds or names of task orders, one run each; empty: what the benchmarks say.
    :param bits: bit-widths of weights and activations, one run each, of the strategies that are
        quantized and do not say their own; empty: the defaults.
    :param mem_bytes: bytes of the memory, one run each, of the strategies that have one counted in
        bytes and do not say their own; empty: the defaults.
    :param metrics: metrics that ``compare`` adds when the runs are done, as
        ``cl-strategies metrics --add`` does.
    :param gpu_hours: what all of its runs are expected to take, in hours of one GPU; an estimate
        for people, on which no run depends; ``None``: not said.
    :param cpu_hours: the same for a suite that fits a processor, in hours of one core.
    :param shared: tables ``train``, ``model``, ``quantization``, ``run`` for all runs.
    :param tuning: table ``[tuning]``, see :mod:`cl_strategies.experiment.sweep.tuning`.
    :param published: numbers that papers print for its benchmarks.
    :param source: the file it was read from, whose paths may not lead anywhere
        (:mod:`cl_strategies.experiment.config.data_root`).
    :raises UserError: for what cannot be a comparison, whatever its runs are.
    """

    name: str = "comparison"
    title: str = ""
    benchmarks: Sequence[Mapping[str, Any]]
    strategies: Sequence[Mapping[str, Any]]
    seeds: Sequence[int] = (0,)
    orders: Sequence[int | str] = ()
    bits: Sequence[int] = ()
    mem_bytes: Sequence[int] = ()
    shared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Sequence[str] = ()
    gpu_hours: float | None = None
    cpu_hours: float | None = None
    tuning: Mapping[str, Any] = field(default_factory=dict)
    published: Sequence[PublishedTable] = ()
    source: str | Path | None = None

    def __post_init__(self) -> None:
        where = "the suite" if self.source is None else str(self.source)
        check_name(self.name)
        if not isinstance(self.title, str) or not self.title.isprintable():
            raise UserError(f"suite.title is {shown(self.title)}: give one line of text")
        check_array("benchmarks", self.benchmarks, where)
        check_array("strategies", self.strategies, where)
        check_labels([label_of(row) for row in self.strategies], where)
        check_seeds("suite.seeds", self.seeds)
        if not self.seeds:
            raise UserError("suite.seeds is empty: give at least one, such as [0], one run each")
        check_orders("suite.orders", self.orders)
        check_bits(self.bits)
        check_budgets(self.mem_bytes)
        check_metrics(self.metrics)
        check_hours({name: getattr(self, name) for name in _HOURS})
        check_tables({"shared": self.shared, "tuning": self.tuning}, where, ("shared", "tuning"))
        check_tables(self.shared, where, SHARED)
        self._check_published(where)

    def _check_published(self, where: str) -> None:
        published, known = self.published, {row["name"] for row in self.benchmarks}
        if not isinstance(published, (list, tuple)):
            raise UserError(f"published is {shown(published)}: give a list of PublishedTable")
        for table in published:
            if not isinstance(table, PublishedTable):
                raise UserError(f"published holds {shown(table)}: write PublishedTable.from_dict")
            if table.benchmark not in known:
                raise unknown_name(f"benchmark in [[published]] of {where}", table.benchmark, known)

    @classmethod
    def from_toml(cls, path: str | Path) -> Suite:
        """Read a suite file, or one that comes with the package, by its name.

        :raises UserError: if it is missing, not TOML, or has unknown tables or keys.
        """
        tables = read_toml(find_suite(path))
        for table in tables:
            if table not in _TABLES:
                raise unknown_name(f"table in {path}", table, _TABLES)
        head = tables.get("suite", {})
        check_table(f"suite in {path}", head)
        for key in head:
            if key not in _HEAD:
                raise unknown_name("key of [suite]", key, _HEAD)
        return cls(
            **{"name": Path(path).stem, "seeds": [0], **head},
            benchmarks=tables.get("benchmarks", []),
            strategies=tables.get("strategies", []),
            shared={table: tables[table] for table in SHARED if table in tables},
            tuning=tables.get("tuning", {}),
            published=_published(tables.get("published", []), path),
            source=path,
        )

    def configs(self, overrides: Mapping[str, Any] | None = None) -> list[ExperimentConfig]:
        """Return every run, benchmark by benchmark, seed by seed.

        :raises UserError: for anything that does not fit, before a single run has started.
        """
        overrides = overrides or {}
        check_table("what to set", overrides)
        configs = {}
        orders: list[int | str | None] = [*self.orders] or [None]
        for benchmark in self.benchmarks:
            for seed in self.seeds:
                for order in orders:
                    for strategy in self.strategies:
                        for tables in self._variants(self.tables(benchmark, strategy)):
                            tables.setdefault("run", {})["seed"] = seed
                            if order is not None:
                                tables["benchmark"]["order"] = order
                            config = ExperimentConfig.from_dict(override(tables, overrides))
                            if self.source is not None:
                                check_paths(config.benchmark.options, self.source, overrides)
                            configs[config.hash] = config
        return list(configs.values())

    def _variants(self, tables: dict[str, dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
        """Return ``tables`` at each of :attr:`bits` and of :attr:`mem_bytes` that concerns them."""
        defaults = registry("strategies")[tables["strategy"]["name"]].defaults()
        variants = self._at_each_width(tables)
        if not self.mem_bytes or "mem_bytes" not in defaults or "mem_bytes" in tables["strategy"]:
            return variants
        return [
            {**variant, "strategy": {**variant["strategy"], "mem_bytes": budget}}
            for variant in variants
            for budget in self.mem_bytes
        ]

    def _at_each_width(self, tables: dict[str, dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
        """Return ``tables`` at each of :attr:`bits`, or as they are if they are not quantized."""
        own = "quantization" not in tables
        if not self.bits or (own and not quantizes_itself(tables["strategy"]["name"])):
            return [tables]
        table = "strategy" if own else "quantization"
        if set(OWN_BITS) & set(tables[table]):
            return [tables]
        return [
            {**tables, table: {**tables[table], **dict.fromkeys(OWN_BITS, bits)}}
            for bits in self.bits
        ]

    def tables(
        self, benchmark: Mapping[str, Any], strategy: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """Return the tables of one run, without seed and order."""
        named = dict.fromkeys([strategy["name"], label_of(strategy)])
        special = [benchmark.get("strategies", {}).get(name, {}) for name in named]
        tables = {name: dict(table) for name, table in self.shared.items()}
        for layer in (benchmark, strategy, *special):
            for name in SHARED:
                if name in layer:
                    tables[name] = laid_over(name, tables.get(name, {}), layer[name])
        tables["benchmark"] = _own(benchmark)
        tables["strategy"] = {}
        for layer in (strategy, *special):
            options = present_names("strategy", strategy["name"], _own(layer))
            tables["strategy"].update(options)
        return tables


def label_of(strategy: Mapping[str, Any]) -> str:
    """Return what a suite calls one of its strategies: its label, else its name."""
    result: str = strategy.get("label", strategy["name"])
    return result


def tuned_option(strategy: Mapping[str, Any]) -> str | None:
    """Return the option of a strategy that ``tune`` varies as its strength.

    It is ``strength``, unless the table gives a value for it. Text in its place, as suites of
    earlier versions have it, is the name of the option: ``strength = "c"``.
    """
    named = strategy.get("strength")
    if isinstance(named, str):
        return named
    known = registry("strategies")[strategy["name"]].parameters()
    return "strength" if named is None and "strength" in known else None


def _own(layer: Mapping[str, Any]) -> dict[str, Any]:
    reserved = [*_RESERVED, *(["strength"] if isinstance(layer.get("strength"), str) else [])]
    return {key: v for key, v in layer.items() if key not in reserved}


def _published(rows: Any, path: str | Path) -> list[PublishedTable]:
    """:raises UserError: unless ``rows`` are tables of numbers."""
    if not isinstance(rows, list):
        raise UserError(f"published in {path} must be an array of tables: write [[published]]")
    return [PublishedTable.from_dict(row, f"[[published]] of {path}") for row in rows]


def recipes() -> dict[str, Path]:
    """Return the suite files that come with the package, by name."""
    folder = resources.files("cl_strategies.benchmarks") / "recipes"
    return {Path(str(p)).stem: Path(str(p)) for p in folder.iterdir() if p.name.endswith(".toml")}


def find_suite(path: str | Path) -> Path:
    """:raises UserError: if ``path`` is neither a file nor the name of a recipe."""
    if not isinstance(path, (str, os.PathLike)):
        raise UserError(f"the suite is {shown(path)}: give the path of a file, or a recipe's name")
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            return Path(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # too long a name, a folder that may not be entered
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {shown(str(path))}: {reason}") from error
    known = recipes()
    if str(path) in known:
        return known[str(path)]
    raise unknown_name("suite (neither a file nor a recipe)", str(path), known)

"""What one run is: benchmark, model, training, strategy and seed, as frozen dataclasses.

TOML tables and dataclasses correspond one to one. Keys are checked, and a key or a value
that does not fit is a :class:`~cl_strategies.errors.UserError`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le, Unit
from typing_extensions import Doc

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.experiment.config.data_root import check_paths
from cl_strategies.experiment.config.layers import laid_over
from cl_strategies.experiment.config.logging_options import LoggingOptions
from cl_strategies.experiment.config.quantization import QuantizationConfig, quantizes_itself
from cl_strategies.experiment.config.reading import read_toml
from cl_strategies.experiment.config.train_config import TrainConfig
from cl_strategies.own_code import is_loaded, is_reference
from cl_strategies.plugins.continual_evaluation.options import TraceOptions
from cl_strategies.registry import Entry, registry
from cl_strategies.validation.hyperparameters import check_fields, documented, resolve_aliases
from cl_strategies.validation.plain_data import check_plain, check_table, shown

#: A change of this number makes runs of earlier versions be repeated.
CONFIG_VERSION = 1
#: What a run may store of its predictions.
PREDICTION_BYTES = 4 * 2**20
#: Where things lie and what is kept, not what is computed: no part of a run's identity.
_NOT_IDENTITY = (("benchmark", "data_root"), ("benchmark", "cache_bytes"), ("run", "predictions"))

#: What came later than the hash, with the value at which it is not written down.
_LEFT_OUT = {"portable": False, "evaluate_every": 1, "predictions": PREDICTION_BYTES}


@dataclass(frozen=True)
class Named:
    """A registry name and the options given with it."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, **self.options}


@documented
@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Seed and machine."""

    seed: Annotated[
        int,
        Ge(0),
        Doc(
            "Initialization and data order are drawn from it, each on its own. The order of tasks "
            "is ``benchmark.order``."
        ),
    ] = 0
    device: Annotated[
        str, Doc('``"auto"`` (CUDA where present), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.')
    ] = "auto"
    # More threads than a system can start make torch crash.
    threads: Annotated[
        int,
        Ge(1),
        Le(1024),
        Doc(
            "CPU threads of the run. Sums depend on it in their last bits, so it is part of the "
            "run's identity and does not follow the machine."
        ),
    ] = 1
    portable: Annotated[
        bool,
        Doc(
            "Compute the same numbers, bit for bit, on every x86-64 processor; slower, and on the "
            "CPU only."
        ),
    ] = False
    evaluate_every: Annotated[
        int,
        Ge(1),
        Doc(
            "Evaluate all experiences seen so far after every so many, and after the last; after "
            "the others only the new one."
        ),
        Unit("experiences"),
    ] = 1
    predictions: Annotated[
        int,
        Ge(0),
        Le(2**30),
        Doc(
            "Store what is predicted for every test sample, for metrics that are added later, in "
            "so many bytes at most; 0 stores nothing. It changes no number, and is no part of the "
            "run's identity."
        ),
        Unit("bytes"),
    ] = PREDICTION_BYTES

    def __post_init__(self) -> None:
        check_fields(self, "run")
        if self.portable:
            if self.device not in {"auto", "cpu"}:
                raise UserError(
                    f"run.device is {self.device!r} with run.portable, which computes on the CPU: "
                    'give device = "cpu", or leave portable out'
                )
            object.__setattr__(self, "device", "cpu")

    def to_table(self) -> dict[str, Any]:
        """Return plain data; without what came later and is not set, as the hash always was."""
        table = asdict(self)
        for name, default in _LEFT_OUT.items():
            if table[name] == default:
                del table[name]
        return table


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """One run, completely described.

    :param quantization: ``None``: the model stays at full precision, unless the strategy itself
        quantizes it.
    :param continual_evaluation: ``None``: no evaluation takes place during training.
    :param logging: who is told of the run; no part of what it is.
    """

    benchmark: Named
    strategy: Named
    model: Named = Named("mlp")
    train: TrainConfig = field(default_factory=TrainConfig)
    run: RunConfig = field(default_factory=RunConfig)
    quantization: QuantizationConfig | None = None
    continual_evaluation: TraceOptions | None = None
    logging: LoggingOptions = field(default_factory=LoggingOptions)

    @classmethod
    def from_dict(cls, tables: Mapping[str, Any]) -> ExperimentConfig:
        """Check ``tables`` and fill in every default, so that equal runs are equal configs.

        :raises UserError: for an unknown table, name, key or value.
        """
        check_table("the configuration", tables)
        check_plain("", tables)
        for table, content in tables.items():
            if table not in _TABLES:
                raise unknown_name("table", table, _TABLES)
            check_table(table, content)
        for table in ("benchmark", "strategy"):
            if "name" not in tables.get(table, {}):
                raise UserError(f"the configuration needs a table [{table}] with a name")
        return cls(
            benchmark=_named("benchmarks", "benchmark", tables["benchmark"]),
            strategy=_named("strategies", "strategy", tables["strategy"]),
            model=_named("models", "model", {"name": "mlp", **tables.get("model", {})}),
            train=_dataclass(TrainConfig, "train", tables.get("train", {})),
            run=_dataclass(RunConfig, "run", tables.get("run", {})),
            quantization=_quantization(tables),
            continual_evaluation=_dataclass(
                TraceOptions, "continual_evaluation", tables["continual_evaluation"]
            )
            if "continual_evaluation" in tables
            else None,
            logging=_dataclass(LoggingOptions, "logging", tables.get("logging", {})),
        )

    @classmethod
    def from_toml(
        cls, path: str | Path, overrides: Mapping[str, Any] | None = None
    ) -> ExperimentConfig:
        """Read a file; ``overrides`` (``{"train.epochs": 3}``) beat it.

        :raises UserError: for an unknown table, name, key or value, or a path that leads out of
            the data folders (:mod:`cl_strategies.experiment.config.data_root`).
        """
        overrides = overrides or {}
        config = cls.from_dict(override(read_toml(path), overrides))
        check_paths(config.benchmark.options, path, overrides)
        return config

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Tables of plain data, of all that makes the run what it is."""
        tables = {
            "benchmark": self.benchmark.to_dict(),
            "model": self.model.to_dict(),
            "train": self.train.to_table(),
            "strategy": self.strategy.to_dict(),
            "run": self.run.to_table(),
        }
        if self.quantization is not None:  # absent, it leaves the hash as it always was
            tables["quantization"] = self.quantization.to_table()
        if self.continual_evaluation is not None:
            tables["continual_evaluation"] = asdict(self.continual_evaluation)
        return tables

    def to_tables(self) -> dict[str, dict[str, Any]]:
        """Return the same with what lies beside; :meth:`from_dict` gives an equal config back."""
        return {**self.to_dict(), "logging": {**asdict(self.logging), "to": [*self.logging.to]}}

    def with_seed(self, seed: int) -> ExperimentConfig:
        return replace(self, run=replace(self.run, seed=seed))

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that name this run among all others."""
        return hash_of(self.to_dict())

    @property
    def slug(self) -> str:
        """Name of the run directory: readable words, then the hash."""
        names = f"{self.strategy.name}-{self.benchmark.name}".replace(":", ".")  # Windows has none
        return f"{names}-s{self.run.seed}-{self.hash}"


def hash_of(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the hash of a configuration as plain data, which need not be one of this version."""
    identity = {
        name: {
            key: value
            for key, value in _oldest_names(name, table).items()
            if (name, key) not in _NOT_IDENTITY
        }
        for name, table in tables.items()
    }
    text = json.dumps([CONFIG_VERSION, identity], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def present_names(table: str, name: Any, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``content`` with the present name of each option, so that it can be put over another
    table.

    :param table: the table of the configuration that ``content`` belongs to.
    :param name: the registered name in it.
    :raises UserError: if an option is given under two names.
    """
    if is_reference(name) and table in _KINDS_OF_TABLES:
        entry: Entry | None = registry(_KINDS_OF_TABLES[table])[name]
    else:
        entry = _entry(table, name)
    return content if entry is None else resolve_aliases(entry.load(), content)


def _oldest_names(table: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options of a table under the names that the hash has always had for them."""
    entry = _entry(table, content.get("name"))
    return content if entry is None else entry.hashed_options(content)


def _entry(table: str, name: Any) -> Entry | None:
    """Return what a name stands for; nothing is imported for a ``module:attribute``, which may
    stand in a file of unknown origin."""
    kind = _KINDS_OF_TABLES.get(table)
    if kind is None or not (name in registry(kind) or is_loaded(name)):
        return None
    return registry(kind)[name]


_KINDS_OF_TABLES = {"benchmark": "benchmarks", "strategy": "strategies", "model": "models"}
_TABLES = tuple(f.name for f in fields(ExperimentConfig))


def _named(kind: str, table: str, content: Mapping[str, Any]) -> Named:
    name = content["name"]
    if not isinstance(name, str):
        raise UserError(f"{table}.name must be a string, not {shown(name)}")
    given = {key: value for key, value in content.items() if key != "name"}
    return Named(name, registry(kind)[name].resolve_options(given))


def _quantization(tables: Mapping[str, Any]) -> QuantizationConfig | None:
    if "quantization" not in tables:
        return None
    strategy = tables["strategy"]["name"]
    if quantizes_itself(strategy):
        raise UserError(
            f"{strategy} quantizes its model itself: set strategy.weight_bits and "
            "strategy.activation_bits, and leave the table [quantization] out"
        )
    made = QuantizationConfig.from_table(tables["quantization"])
    if made.calibrate is not None and tables.get("train", {}).get("bits_before"):
        raise UserError(
            "train.bits_before is of training at few bits, and quantization.calibrate has the "
            "network trained at full precision: leave one of them out"
        )
    return made


def _dataclass(kind: type[Any], table: str, content: Mapping[str, Any]) -> Any:
    known = [f.name for f in fields(kind)]
    for key in content:
        if key not in known:
            raise unknown_name(f"key of [{table}]", key, known)
    return kind(**content)


def _example(key: str, tables: Mapping[str, Any]) -> str:
    """Return what may be meant by a key without a table; another example if nothing is like it."""
    for table, kind in {"train": TrainConfig, "run": RunConfig}.items():
        if key in {field.name for field in fields(kind)}:
            return f"{table}.{key}"
    for table, names in _KINDS_OF_TABLES.items():
        with suppress(UserError, TypeError, KeyError):  # a table or name that is none
            if key in registry(names)[tables[table]["name"]].parameters():
                return f"{table}.{key}"
    return "train.epochs=3"


def override(tables: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``tables`` in which ``{"train.epochs": 3}`` replaces one key.

    :raises UserError: for what is no key, or two names of one option.
    """
    check_table("the configuration", tables)
    check_table("what to set", values)
    check_plain("", values)
    result = {
        key: dict(table) if isinstance(table, Mapping) else table for key, table in tables.items()
    }
    given: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        table, dot, option = key.partition(".")
        if not dot or table not in _TABLES:
            raise UserError(
                f"cannot set {key!r}: write table.key=value with a table among "
                f"{', '.join(_TABLES)}, for example {_example(key, result)}"
            )
        given.setdefault(table, {})[option] = value
    for table, options in given.items():
        check_table(table, result.setdefault(table, {}))
        name = options.get("name", result[table].get("name"))
        below, above = (present_names(table, name, part) for part in (result[table], options))
        result[table] = laid_over(table, below, above)
    return result

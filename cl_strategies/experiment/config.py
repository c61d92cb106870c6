"""What one run is: benchmark, model, training, strategy and seed, as frozen dataclasses.

TOML tables and dataclasses correspond one to one. Keys are checked, and a key or a value
that does not fit is a :class:`~cl_strategies.errors.UserError`.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.experiment.quantized import QuantizationConfig, quantises_itself
from cl_strategies.plain import check_plain, check_table, shown
from cl_strategies.registry import check_fields, registry

#: A change of this number makes runs of earlier versions be repeated.
CONFIG_VERSION = 1
#: Where things lie, not what is computed: no part of a run's identity.
_NOT_IDENTITY = (("benchmark", "data_root"),)

MAX_THREADS = 1024
OPTIMIZERS = ("adam", "adamw", "sgd")
UNSEEN_CLASSES = ("mask", "train")
SCHEDULES = ("constant", "cosine", "step")
_SCHEDULE_KEYS = ("schedule", "milestones", "gamma")


@dataclass(frozen=True)
class Named:
    """A registry name and the options given with it."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, **self.options}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How every experience is trained.

    :param epochs: passes over each experience.
    :param batch_size: samples of the current experience per step.
    :param eval_batch_size: samples per evaluation step; does not change any number.
    :param optimizer: ``"adam"``, ``"adamw"`` or ``"sgd"``; its state is kept between experiences.
    :param lr: learning rate.
    :param momentum: of ``"sgd"``.
    :param weight_decay: of any optimizer.
    :param schedule: ``"constant"``, ``"cosine"`` (to 0) or ``"step"``: how the learning rate falls
        while an experience is trained; it begins anew with each.
    :param milestones: of ``"step"``: epochs, counted from 0, before which the rate is multiplied.
    :param gamma: of ``"step"``: by what.
    :param unseen_classes: ``"mask"``: outputs of classes that have not come yet are ruled out, in
        losses and in predictions; ``"train"``: they are trained like all others.
    """

    epochs: int = 1
    batch_size: int = 64
    eval_batch_size: int = 512
    optimizer: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "constant"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    unseen_classes: str = "mask"

    def __post_init__(self) -> None:
        check_fields(self, "train")
        for name in ("epochs", "batch_size", "eval_batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"train.{name} is {getattr(self, name)}: give at least 1")
        if self.optimizer not in OPTIMIZERS:
            raise unknown_name("optimizer", self.optimizer, OPTIMIZERS)
        if self.momentum and self.optimizer != "sgd":
            raise UserError(f"train.momentum is an option of sgd, not of {self.optimizer}")
        if not 0 < self.lr < float("inf"):
            raise UserError(f"train.lr is {self.lr}: give a positive number")
        if self.unseen_classes not in UNSEEN_CLASSES:
            raise UserError(
                f"train.unseen_classes is {shown(self.unseen_classes)}: use "
                f"{' or '.join(UNSEEN_CLASSES)}"
            )
        for name in ("momentum", "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"train.{name} is {getattr(self, name)}: give 0 or more")
        self._check_schedule()

    def _check_schedule(self) -> None:
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if self.schedule not in SCHEDULES:
            raise unknown_name("schedule", self.schedule, SCHEDULES)
        steps = [0, *self.milestones]
        if any(type(step) is not int for step in steps) or steps != sorted(set(steps)):
            raise UserError(
                f"train.milestones is {list(self.milestones)}: give growing numbers of epochs"
            )
        if bool(self.milestones) != (self.schedule == "step"):
            raise UserError(
                f"train.milestones is {list(self.milestones)} with schedule {self.schedule!r}: "
                'milestones belong to schedule = "step", which needs at least one'
            )
        if not 0 < self.gamma <= 1:
            raise UserError(f"train.gamma is {self.gamma}: give a factor above 0, at most 1")

    def to_table(self) -> dict[str, Any]:
        """Plain data; without the schedule if there is none, as the hash always was."""
        table = asdict(self)
        if self.schedule == "constant":
            return {key: value for key, value in table.items() if key not in _SCHEDULE_KEYS}
        return {**table, "milestones": list(self.milestones)}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Seed and machine.

    :param seed: initialisation and data order are drawn from it, each on its own; the task
        order is ``benchmark.order``.
    :param device: ``"auto"`` (CUDA where present), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    :param threads: CPU threads of the run. Sums depend on it in their last bits, so it is
        part of the run's identity and does not follow the machine.
    :param portable: compute the same numbers, bit for bit, on every x86-64 processor
        (:mod:`cl_strategies.experiment.portable`); slower, and on the CPU only.
    :param evaluate_every: evaluate all experiences seen so far after every so many, and after the
        last; after the others only the new one.
    """

    seed: int = 0
    device: str = "auto"
    threads: int = 1
    portable: bool = False
    evaluate_every: int = 1

    def __post_init__(self) -> None:
        check_fields(self, "run")
        if self.seed < 0:
            raise UserError(f"run.seed is {self.seed}: give 0 or more")
        if not 1 <= self.threads <= MAX_THREADS:  # torch crashes where it cannot start as many
            raise UserError(f"run.threads is {self.threads}: give 1 to {MAX_THREADS}")
        if self.evaluate_every < 1:
            raise UserError(
                f"run.evaluate_every is {self.evaluate_every}: give 1 or more experiences"
            )
        if self.portable:
            if self.device not in {"auto", "cpu"}:
                raise UserError(
                    f"run.device is {self.device!r} with run.portable, which computes on the CPU: "
                    'give device = "cpu", or leave portable out'
                )
            object.__setattr__(self, "device", "cpu")

    def to_table(self) -> dict[str, Any]:
        """Plain data; without what came later and is not set, as the hash always was."""
        table = asdict(self)
        for name, default in (("portable", False), ("evaluate_every", 1)):
            if table[name] == default:
                del table[name]
        return table


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """One run, completely described.

    :param quantization: ``None``: the model stays at full precision, unless the strategy itself
        quantises it.
    """

    benchmark: Named
    strategy: Named
    model: Named = Named("mlp")
    train: TrainConfig = field(default_factory=TrainConfig)
    run: RunConfig = field(default_factory=RunConfig)
    quantization: QuantizationConfig | None = None

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
        )

    @classmethod
    def from_toml(
        cls, path: str | Path, overrides: Mapping[str, Any] | None = None
    ) -> ExperimentConfig:
        """Read a file; ``overrides`` (``{"train.epochs": 3}``) beat it.

        :raises UserError: for an unknown table, name, key or value, or a path that leads out of
            the data folders (:mod:`cl_strategies.experiment.roots`).
        """
        from cl_strategies.experiment.roots import check_root

        overrides = overrides or {}
        config = cls.from_dict(override(read_toml(path), overrides))
        if "benchmark.data_root" not in overrides:
            check_root(config, path)
        return config

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Tables of plain data; :meth:`from_dict` gives an equal config back."""
        tables = {
            "benchmark": self.benchmark.to_dict(),
            "model": self.model.to_dict(),
            "train": self.train.to_table(),
            "strategy": self.strategy.to_dict(),
            "run": self.run.to_table(),
        }
        if self.quantization is not None:  # absent, it leaves the hash as it always was
            tables["quantization"] = self.quantization.to_table()
        return tables

    def with_seed(self, seed: int) -> ExperimentConfig:
        return replace(self, run=replace(self.run, seed=seed))

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that name this run among all others."""
        return hash_of(self.to_dict())

    @property
    def slug(self) -> str:
        """Name of the run directory: readable words, then the hash."""
        return f"{self.strategy.name}-{self.benchmark.name}-s{self.run.seed}-{self.hash}"


def hash_of(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """The hash of a configuration as plain data, which need not be one of this version."""
    identity = {
        name: {key: value for key, value in table.items() if (name, key) not in _NOT_IDENTITY}
        for name, table in tables.items()
    }
    text = json.dumps([CONFIG_VERSION, identity], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


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
    if quantises_itself(strategy):
        raise UserError(
            f"{strategy} quantises its model itself: set strategy.weight_bits and "
            "strategy.activation_bits, and leave the table [quantization] out"
        )
    return QuantizationConfig.from_table(tables["quantization"])


def _dataclass(kind: type[Any], table: str, content: Mapping[str, Any]) -> Any:
    known = [f.name for f in fields(kind)]
    for key in content:
        if key not in known:
            raise unknown_name(f"key of [{table}]", key, known)
    return kind(**content)


def read_toml(path: str | Path) -> dict[str, Any]:
    """:raises UserError: if the file is missing, is not TOML, or holds more than plain values."""
    if not isinstance(path, (str, os.PathLike)):  # open would read the file of a number
        raise UserError(f"cannot read {shown(path)}: give the path of a TOML file")
    try:
        with open(path, "rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOML's and Unicode's are ValueErrors
        raise UserError(f"{path} is not valid TOML: {error}") from error
    try:
        check_plain("", tables)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return tables


def override(tables: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``tables`` in which ``{"train.epochs": 3}`` replaces one key."""
    check_table("the configuration", tables)
    check_table("what to set", values)
    check_plain("", values)
    result = {
        key: dict(table) if isinstance(table, Mapping) else table for key, table in tables.items()
    }
    for key, value in values.items():
        table, dot, option = key.partition(".")
        if not dot or table not in _TABLES:
            raise UserError(
                f"cannot set {key!r}: write table.key=value with a table among "
                f"{', '.join(_TABLES)}, for example train.epochs=3"
            )
        check_table(table, result.setdefault(table, {}))
        result[table][option] = value
    return result


def parse_assignment(text: str) -> tuple[str, Any]:
    """``"train.epochs=3"`` -> ``("train.epochs", 3)``; values are TOML, bare words are strings."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"cannot read {shown(text)}: write key=value, for example train.epochs=3")
    try:
        assigned = tomllib.loads(f"v = {value}")["v"]
    except (ValueError, RecursionError):
        assigned = value.strip()
    check_plain(key.strip(), assigned)
    return key.strip(), assigned

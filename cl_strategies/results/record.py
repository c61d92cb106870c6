"""What one run leaves behind: ``result.json``, version 2; version 1, without ``memory``, is read.

``accuracy_matrix[t][i]`` is the accuracy in [0, 1] on test experience ``i`` after training
position ``t``; ``null`` where it was not measured. ``task_order[k]`` is the original task that
was trained at position ``k``. See :class:`RunRecord` for the other fields. The file has one field
more than the record: ``checksum`` (:mod:`cl_strategies.results.checksum`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import write_text
from cl_strategies.io.bounded import read_regular
from cl_strategies.results.checksum import sealed, unsealed
from cl_strategies.results.fields import Fields
from cl_strategies.results.identity import Identity
from cl_strategies.results.json_text import decoded, json_lines
from cl_strategies.results.metrics import describe

SCHEMA_VERSION = 2
_READABLE = (1, 2)
STATUSES = ("finished", "failed")
_FIELDS = (
    "schema",
    "status",
    "error",
    "config",
    "config_hash",
    "task_order",
    "accuracy_matrix",
    "seconds",
    "bytes",
    "memory",
    "metrics",
)
_OPTIONAL = ("exemplars", "identity")
_FIELDS_1 = tuple(name for name in _FIELDS if name != "memory")
#: Of a memory that is counted in bytes: exemplars, their bytes, the bytes of the same images raw,
#: and the classes that they are of.
EXEMPLAR_COLUMNS = ("count", "bytes", "raw_bytes", "classes")
#: Where exemplars have boxes: the share of the image that these cover, and their overlap with the
#: boxes of class activation maps and with those that the stream knows.
BOX_COLUMNS = ("box_area", "cam_overlap", "true_overlap")
Number = float | None
Lists = Mapping[str, Sequence[Number]]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run, finished or failed, as plain data.

    :param status: ``"finished"`` or ``"failed"``.
    :param error: ``None``, or for a failed run ``kind`` (``"diverged"`` or ``"error"``),
        ``message`` and ``traceback``.
    :param config: the complete configuration by section (``benchmark``, ``model``, ``train``,
        ``strategy``, ``run``); ``benchmark.name``, ``strategy.name`` and ``run.seed`` must be
        there.
    :param config_hash: hash of ``config``.
    :param task_order: original index of the task trained at each position (T,).
    :param accuracy_matrix: (T, T) accuracies in [0, 1] or ``None``; fewer rows if it failed.
    :param seconds: ``train`` and ``evaluation`` seconds, one for each position.
    :param bytes: ``parameters`` and ``method_state`` bytes, one for each position.
    :param metrics: metric name -> value, ``None`` where the metric is undefined.
    :param memory: ``peak`` bytes while training, one for each position, ``None`` where the
        system does not say; like seconds they are the machine's, not the method's alone.
    :param exemplars: :data:`EXEMPLAR_COLUMNS`, one value for each position, and those of
        :data:`BOX_COLUMNS` that are known; empty for a method whose memory is not counted in
        bytes.
    :param identity: its data and code; ``None`` for a run that ended before they were known, and
        for runs of 0.1.0, which recorded none.
    """

    status: str
    error: Mapping[str, str] | None
    config: Mapping[str, Mapping[str, Any]]
    config_hash: str
    task_order: Sequence[int]
    accuracy_matrix: Sequence[Sequence[Number]]
    seconds: Lists
    bytes: Lists
    metrics: Mapping[str, Number]
    memory: Lists = field(default_factory=lambda: {"peak": ()})
    exemplars: Lists = field(default_factory=dict)
    identity: Identity | None = None

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.status == "finished"

    @property
    def benchmark(self) -> str:
        """Name of the benchmark."""
        return str(self.config["benchmark"]["name"])

    @property
    def strategy(self) -> str:
        """Name of the strategy."""
        return str(self.config["strategy"]["name"])

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.config["run"]["seed"])

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """The accuracy matrix as an array (rows, T) with NaN for what was not measured."""
        array = np.array(self.accuracy_matrix, dtype=np.float64)
        return array.reshape(len(self.accuracy_matrix), len(self.task_order))

    def metric(self, name: str) -> float:
        """Return the value of metric ``name``, NaN where it is undefined or was not recorded."""
        value = self.metrics.get(name)
        return math.nan if value is None else float(value)

    @classmethod
    def from_dict(cls, data: object, *, source: str = "the record") -> RunRecord:
        """Check decoded JSON and make a record of it.

        :param data: the decoded file.
        :param source: the file's name, for messages.
        :raises UserError: naming ``source`` and the field that is missing, unknown or wrong.
        """
        if not isinstance(data, Mapping):
            raise UserError(f"{source}: expected a JSON object with the fields of a run's result")
        fields = Fields(data, source)
        version = fields.integer("schema")
        if version not in _READABLE:
            raise UserError(
                f"{source}: field 'schema' is {data['schema']}, this version reads "
                f"{' and '.join(map(str, _READABLE))}. Use the release of cl-strategies that "
                "wrote it, or run again."
            )
        fields.only(_FIELDS if version > 1 else _FIELDS_1, optional=_OPTIONAL)
        status = fields.text("status")
        if status not in STATUSES:
            fields.fail("status", "'finished' or 'failed'")
        order = _task_order(fields, status)
        rows = fields.rows("accuracy_matrix", columns=len(order), high=1.0)
        if len(rows) > len(order) or (status == "finished" and len(rows) != len(order)):
            fields.fail("accuracy_matrix", f"{len(order)} rows, one for each task")
        metrics = fields.table("metrics")
        return cls(
            status=status,
            error=_error(fields, status),
            config=_config(fields),
            config_hash=fields.text("config_hash"),
            task_order=order,
            accuracy_matrix=rows,
            seconds=_lists(fields.table("seconds"), ("train", "evaluation"), len(order)),
            bytes=_lists(fields.table("bytes"), ("parameters", "method_state"), len(order)),
            metrics={name: metrics.number(name, *describe(name).bounds) for name in metrics.values},
            memory=_lists(fields.table("memory"), ("peak",), len(order))
            if version > 1
            else {"peak": ()},
            exemplars=_exemplars(fields.table("exemplars"), len(order))
            if "exemplars" in data
            else {},
            identity=Identity.from_fields(fields.table("identity")) if "identity" in data else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, with ``None`` for every NaN and without the environment."""
        exemplars = {name: _plain(values) for name, values in self.exemplars.items()}
        identity = {} if self.identity is None else {"identity": self.identity.to_dict()}
        return {
            "schema": SCHEMA_VERSION,
            "status": self.status,
            "error": None if self.error is None else dict(self.error),
            "config": {name: dict(section) for name, section in self.config.items()},
            "config_hash": self.config_hash,
            "task_order": list(self.task_order),
            "accuracy_matrix": [_plain(row) for row in self.accuracy_matrix],
            "seconds": {name: _plain(values) for name, values in self.seconds.items()},
            "bytes": {name: _plain(values) for name, values in self.bytes.items()},
            "memory": {name: _plain(values) for name, values in self.memory.items()},
            **({"exemplars": exemplars} if exemplars else {}),
            **identity,
            "metrics": dict(zip(self.metrics, _plain(list(self.metrics.values())), strict=True)),
        }


def load_result(path: Path | str) -> RunRecord:
    """Read one ``result.json``.

    :raises UserError: naming the file (and field) if it cannot be read or is not a valid result.
    """
    try:
        data = decoded(read_regular(Path(path)))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}). Make it readable, or delete it "
            "and run it again."
        ) from error
    except ValueError as error:
        raise UserError(
            f"{path}: not a JSON file that can be read ({error}). Delete its run directory "
            "and run it again."
        ) from error
    if isinstance(data, dict) and data.get("schema") in _READABLE:
        data, whole = unsealed(data)
        if not whole:
            raise UserError(
                f"{path}: its content does not fit its checksum, so that it has changed since it "
                "was written. Delete it and run it again."
            )
    return RunRecord.from_dict(data, source=str(path))


def write_result(path: Path | str, record: RunRecord) -> None:
    """Check ``record`` and write it atomically.

    :raises UserError: naming the field if the record is not valid; nothing is written then.
    """
    data = record.to_dict()
    RunRecord.from_dict(data, source=str(path))
    try:
        text = json_lines(sealed(data))
        decoded(text.encode())  # else it would be written, and found damaged by the next reader
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: the configuration cannot be kept as JSON ({error}). Give finite numbers, "
            "and text that UTF-8 can hold."
        ) from error
    write_text(Path(path), text)


def _plain(values: Sequence[Number]) -> list[Number]:
    return [None if value is None or math.isnan(value) else value for value in values]


def _task_order(fields: Fields, status: str) -> tuple[int, ...]:
    order = fields.sequence("task_order")
    if any(not isinstance(task, int) or isinstance(task, bool) for task in order):
        fields.fail("task_order", "a list of integers")
    if sorted(order) != list(range(len(order))) or (status == "finished" and not order):
        fields.fail("task_order", "a permutation of 0 .. T-1, with at least one task")
    return order


def _error(fields: Fields, status: str) -> dict[str, str] | None:
    if status == "finished":
        if fields.values["error"] is not None:
            fields.fail("error", "null for a finished run")
        return None
    error = fields.table("error")
    error.only(("kind", "message", "traceback"))
    return {key: error.text(key) for key in ("kind", "message", "traceback")}


def _config(fields: Fields) -> dict[str, dict[str, Any]]:
    config = fields.table("config")
    sections = {name: dict(config.table(name).values) for name in config.values}
    config.table("benchmark").text("name")
    config.table("strategy").text("name")
    config.table("run").integer("seed")
    return sections


def _exemplars(fields: Fields, longest: int) -> Lists:
    fields.only(EXEMPLAR_COLUMNS, optional=BOX_COLUMNS)
    columns = {key: fields.numbers(key, longest=longest) for key in EXEMPLAR_COLUMNS}
    for key in BOX_COLUMNS:
        if key in fields.values:
            columns[key] = fields.numbers(key, high=1.0, longest=longest)
    return columns


def _lists(fields: Fields, keys: tuple[str, ...], longest: int) -> dict[str, tuple[Number, ...]]:
    fields.only(keys)
    return {key: fields.numbers(key, longest=longest) for key in keys}

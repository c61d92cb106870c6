"""``export.json``: what the exported network of a run computes, how large and how fast it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import write_text
from cl_strategies.results.checksum import sealed
from cl_strategies.results.fields import Fields
from cl_strategies.results.json_text import json_lines
from cl_strategies.results.sealed_file import read_sealed

FILE, SCHEMA = "export.json", 1
_REMEDY = "delete it, and export again with `cl-strategies export RUN --check`"
#: What the file is compared with.
TWINS = ("float", "brevitas")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was measured of an exported network.

    :ivar result: fingerprint of the result of the run.
    :ivar file: name of the file in the folder of the run.
    :ivar task: task label of its head; ``None`` for a network with one head.
    :ivar samples: number of test samples.
    :ivar accuracy: share of them that the file classifies right.
    :ivar torch_accuracy: the same of the network in PyTorch.
    :ivar agreement: share of them with equal predictions of both.
    :ivar bytes: size of the file.
    :ivar runtime: name and version of what ran it.
    :ivar batch: samples at a time when it was timed, on one thread.
    :ivar seconds: median of repeated runs of a batch.
    :ivar twin_bytes: sizes of other files of the network, by name: ``float``, ``brevitas``.
    :ivar twin_seconds: their medians.
    :ivar speedups: median of the ratios of their time to that of the file, run in turns.
    :ivar missing: why there is no such file, by name.
    """

    result: str
    file: str
    task: int | None
    samples: int
    accuracy: float
    torch_accuracy: float
    agreement: float
    bytes: int
    runtime: str
    batch: int
    seconds: float
    twin_bytes: Mapping[str, int]
    twin_seconds: Mapping[str, float]
    speedups: Mapping[str, float]
    missing: Mapping[str, str]

    def write(self, folder: Path) -> Path:
        """Write the file, and return its path.

        :raises StorageError: if that is not possible.
        """
        write_text(folder / FILE, json_lines(sealed({"schema": SCHEMA, **asdict(self)})))
        return folder / FILE


def read_export(folder: Path, result: str) -> Exported | None:
    """Read the file of a run.

    :param result: fingerprint of the result that lies beside it.
    :returns: ``None`` if there is none.
    :raises UserError: if it is damaged, or of another result.
    """
    path = folder / FILE
    fields = read_sealed(path, schema=SCHEMA, remedy=_REMEDY)
    if fields is None:
        return None
    if fields.get("result") != result:
        raise UserError(f"{path}: it was exported from another result; {_REMEDY}")
    return _exported(Fields(fields, str(path)))


def _exported(fields: Fields) -> Exported:
    fields.only(tuple(Exported.__dataclass_fields__))
    values = fields.values
    for name in ("result", "file", "runtime"):
        fields.text(name)
    for name in ("samples", "bytes", "batch"):
        fields.integer(name)
    for name in ("accuracy", "torch_accuracy", "agreement", "seconds"):
        _check_number(fields, name, values[name])
    if values["task"] is not None:
        fields.integer("task")
    for name in ("twin_bytes", "twin_seconds", "speedups"):
        for twin, value in fields.table(name).values.items():
            if twin not in TWINS:
                fields.fail(name, f"a table of {' and '.join(TWINS)}")
            _check_number(fields, name, value)
    for twin in fields.table("missing").values:
        fields.table("missing").text(twin)
    return Exported(**values)


def _check_number(fields: Fields, name: str, value: Any) -> None:
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        fields.fail(name, "a number from 0 up")

"""``metrics.json``: metrics of a run that were computed after it, from its records.

It follows from the result, the predictions and the results that it is compared with: it can be
deleted and made again, bit for bit. One that does not fit the result any more is not used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import write_text
from cl_strategies.results.checksum import checksum, sealed
from cl_strategies.results.fields import LARGEST, Fields
from cl_strategies.results.json_text import json_lines
from cl_strategies.results.record import RunRecord
from cl_strategies.results.sealed_file import read_sealed

FILE, SCHEMA = "metrics.json", 1
UNITS = ("fraction", "number", "count")
DIRECTIONS = ("higher", "lower", "zero", "none")
KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
_REMEDY = "delete it, and compute it again with `cl-strategies metrics`"
Value = float | Sequence[Any] | None


@dataclass(frozen=True, kw_only=True)
class DerivedMetric:
    """One metric of one run.

    :ivar value: a number, a list or a table of numbers; ``None`` where it is undefined.
    :ivar unit: ``"fraction"``, ``"number"`` or ``"count"``.
    :ivar direction: ``"higher"`` or ``"lower"`` is better, ``"zero"`` is best, or ``"none"``.
    :ivar n: test samples, experiences or runs behind it.
    :ivar undefined_reason: why there is no value.
    :ivar definition_version: number of the definition.
    :ivar meaning: of a metric of the user's own, in a sentence.
    """

    value: Value
    unit: str
    direction: str
    n: int
    undefined_reason: str | None
    definition_version: int
    meaning: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, without a meaning where there is none."""
        data = asdict(self)
        return data if self.meaning else {k: v for k, v in data.items() if k != "meaning"}


@dataclass(frozen=True, kw_only=True)
class DerivedMetrics:
    """The metrics of one run, and what they follow from.

    :ivar result: :func:`fingerprint` of the result.
    :ivar predictions: checksum of the list of predictions, ``""`` without predictions.
    :ivar references: the results compared with: strategy -> :func:`fingerprint`.
    :ivar metrics: by key.
    """

    result: str
    predictions: str
    references: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, DerivedMetric] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write the file.

        :raises StorageError: if that is not possible.
        """
        metrics = {key: self.metrics[key].to_dict() for key in sorted(self.metrics)}
        references = dict(sorted(self.references.items()))
        data = {
            "schema": SCHEMA,
            "result": self.result,
            "predictions": self.predictions,
            "references": references,
            "metrics": metrics,
        }
        write_text(folder / FILE, json_lines(sealed(data)))


def fingerprint(record: RunRecord) -> str:
    """Return a text that is another one for another result."""
    return checksum(record.to_dict())


def read_derived(folder: Path, record: RunRecord) -> DerivedMetrics | None:
    """Read the file of a run.

    :returns: ``None`` if there is none.
    :raises UserError: if it is damaged, or of another result.
    """
    path = folder / FILE
    fields = read_sealed(path, schema=SCHEMA, remedy=_REMEDY, limit=2**26)
    if fields is None:
        return None
    found = _derived(Fields(fields, str(path)))
    if found.result != fingerprint(record):
        raise UserError(f"{path}: it was computed from another result; {_REMEDY}")
    return found


def _derived(fields: Fields) -> DerivedMetrics:
    fields.only(("result", "predictions", "references", "metrics"))
    references, metrics = fields.table("references"), fields.table("metrics")
    for key in metrics.values:
        if not KEY.fullmatch(key):
            metrics.fail(key, "absent, as it is no key of a metric")
    return DerivedMetrics(
        result=fields.text("result"),
        predictions=fields.text("predictions"),
        references={name: references.text(name) for name in references.values},
        metrics={key: _metric(metrics.table(key)) for key in metrics.values},
    )


def _metric(fields: Fields) -> DerivedMetric:
    known = [name for name in DerivedMetric.__dataclass_fields__ if name != "meaning"]
    fields.only(tuple(known), optional=("meaning",))
    value, reason = fields.values["value"], fields.values["undefined_reason"]
    if not _is_value(value):
        fields.fail("value", "a number, a list or a table of numbers, or null")
    if fields.text("unit") not in UNITS:
        fields.fail("unit", f"one of {', '.join(UNITS)}")
    if fields.text("direction") not in DIRECTIONS:
        fields.fail("direction", f"one of {', '.join(DIRECTIONS)}")
    if reason is not None and not isinstance(reason, str):
        fields.fail("undefined_reason", "text or null")
    return DerivedMetric(
        value=value,
        unit=fields.text("unit"),
        direction=fields.text("direction"),
        n=fields.integer("n"),
        undefined_reason=reason,
        definition_version=fields.integer("definition_version"),
        meaning=fields.text("meaning") if "meaning" in fields.values else "",
    )


def _is_value(value: Any, deeper: int = 2) -> bool:
    if isinstance(value, list):
        return deeper > 0 and all(_is_value(item, deeper - 1) for item in value)
    number = type(value) in (int, float) and not math.isnan(value) and abs(value) <= LARGEST
    return value is None or number

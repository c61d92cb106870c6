"""What every metric is, by key: direction, definition, when it is undefined, source.

They stand in ``definitions.csv``. A definition that changes gets a new key or a new version, never
a silent change.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Definition:
    """What a metric is.

    :ivar group: ``"matrix"`` (of the accuracy matrix), ``"training"`` (of accuracies within
        training), ``"predictions"`` or ``"costs"``.
    :ivar key: its name in results.
    :ivar function: the function of :mod:`cl_strategies.plugins.metrics.functional` to call.
    :ivar direction: ``"higher"`` or ``"lower"`` is better, ``"zero"`` is best, or ``"none"``.
    :ivar meaning: its formula, or words where those are shorter.
    :ivar undefined: when it is NaN.
    :ivar source: the paper it is from.
    :ivar version: number of the definition.
    """

    group: str
    key: str
    function: str
    direction: str
    meaning: str
    undefined: str
    source: str
    version: int


def _read() -> dict[str, Definition]:
    table = files(__package__).joinpath("definitions.csv").read_text(encoding="utf-8")
    found: dict[str, Definition] = {}
    for row in csv.DictReader(table.splitlines()):
        version = int(row.pop("version"))
        found[row["key"]] = Definition(version=version, **row)
    return found


#: All metrics by key.
DEFINITIONS: dict[str, Definition] = _read()

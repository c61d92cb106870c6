"""Numbers that were published elsewhere: shown beside a report, never mixed into it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.io.atomic import write_text
from cl_strategies.io.bounded import read_regular
from cl_strategies.results.formatting import MISSING
from cl_strategies.results.json_text import decoded, json_lines
from cl_strategies.results.metrics import describe
from cl_strategies.validation.plain_data import shown

FILE = "published.json"
WARNING = (
    "Printed in papers, as given there: measured by others, with their code, data splits, "
    "networks and machines. None of these numbers comes from the runs of this report, and none "
    "of its means, marks or figures contains them."
)
_KEYS = ("setting", "source", "benchmark", "metrics", "values", "note")
_NAME = re.compile(r"\w[\w .,+-]{0,99}")
_DIGITS = r"\d{1,20}(\.\d{1,20})?"
_NUMBER = re.compile(f"-?{_DIGITS}( ± {_DIGITS})?")


@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """One table of a paper, or a part of it; accuracies and disparities in percent, as printed.

    :param setting: what was trained on what, in words.
    :param source: the paper and its table.
    :param benchmark: our name of the benchmark.
    :param metrics: our names of the columns.
    :param values: for each strategy, by our name, one text per column such as ``"45.13 ± 0.04"``
        (mean and standard error), ``""`` where nothing was printed.
    :param note: what differs from this package, or ``""``.
    """

    setting: str
    source: str
    benchmark: str
    metrics: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    note: str = ""

    @classmethod
    def from_dict(cls, table: Any, where: str) -> PublishedTable:
        """Check a table ``[[published]]``.

        :param where: what to call it in messages.
        :raises UserError: for missing, unknown or malformed entries.
        """
        if not isinstance(table, Mapping):
            raise UserError(f"{where} must be a table with {', '.join(_KEYS)}")
        for key in table:
            if key not in _KEYS:
                raise unknown_name(f"key of {where}", key, _KEYS)
        for key in ("setting", "source", "benchmark"):
            if not isinstance(table.get(key), str) or not table[key]:
                raise UserError(f"{where}: {key} is {shown(table.get(key))}, give a text")
        metrics, values = table.get("metrics"), table.get("values")
        if not isinstance(metrics, list) or not metrics or not all(map(_is_text, metrics)):
            raise UserError(
                f"{where}: metrics is {shown(metrics)}, give a list of names of metrics"
            )
        if not isinstance(values, Mapping) or not values or not _is_text(table.get("note", "")):
            raise UserError(f"{where}: values must be a table of strategies, and note a text")
        rows = {name: _row(name, row, len(metrics), where) for name, row in values.items()}
        texts = {key: table.get(key, "") for key in ("setting", "source", "benchmark", "note")}
        return cls(metrics=tuple(metrics), values=rows, **texts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; :meth:`from_dict` gives an equal table back."""
        return {
            "setting": self.setting,
            "source": self.source,
            "benchmark": self.benchmark,
            "metrics": list(self.metrics),
            "values": {name: list(row) for name, row in self.values.items()},
            "note": self.note,
        }

    @property
    def headings(self) -> list[str]:
        """Titles of the columns after the strategy."""
        return [f"{describe(metric).title}, %" for metric in self.metrics]

    @property
    def lines(self) -> list[list[str]]:
        """Strategy and numbers, as text."""
        return [[name, *(cell or MISSING for cell in row)] for name, row in self.values.items()]


def write_published(folder: Path | str, tables: Sequence[PublishedTable]) -> None:
    """Keep ``tables`` beside the runs, for this report and later ones; nothing if there are none.

    Tables of other suites in the same folder stay. One with the same benchmark, setting and
    source as a new one is replaced by it, and so is a file that is damaged: suites hold the
    tables.

    :raises UserError: if ``folder`` cannot be written to.
    """
    if not tables:
        return
    try:
        before = read_published(folder)
    except UserError:
        before = ()
    merged = {(t.benchmark, t.setting, t.source): t for t in (*before, *tables)}
    content = {"schema": 1, "tables": [table.to_dict() for table in merged.values()]}
    write_text(Path(folder) / FILE, json_lines(content))


def read_published(folder: Path | str) -> tuple[PublishedTable, ...]:
    """Return what :func:`write_published` kept there.

    :raises UserError: if the file is there and is damaged.
    """
    path = Path(folder) / FILE
    try:
        content = decoded(read_regular(path))
        tables = content["tables"]
        return tuple(PublishedTable.from_dict(table, str(path)) for table in tables)
    except FileNotFoundError:
        return ()
    except UserError:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it") from error


def _row(name: Any, row: Any, columns: int, where: str) -> tuple[str, ...]:
    if not _is_text(name) or not _NAME.fullmatch(name):
        raise UserError(f"{where}: {shown(name)} is no name of a strategy: give one such as wsn")
    if not isinstance(row, list) or len(row) != columns:
        raise UserError(f"{where}: {name} is {shown(row)}, give {columns} numbers, one per metric")
    cells = []
    for cell in row:
        text = cell if isinstance(cell, str) else shown(cell)
        if isinstance(cell, bool) or (text and not _NUMBER.fullmatch(text)):
            raise UserError(
                f"{where}: {name} holds {shown(cell)}: give a number in percent, or a text such "
                'as "45.13 ± 0.04", or "" for none'
            )
        cells.append(text)
    return tuple(cells)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)

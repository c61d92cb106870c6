"""Tables of files and labels: CSV and Parquet files, and what is read as a table like them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl_strategies.errors import DataMissingError, UserError
from cl_strategies.errors.text import shortened
from cl_strategies.io.bounded import read_regular

#: Usual names of columns, the first that a table has is taken.
IMAGES = ("path", "file", "filename", "file_name", "image", "img")
LABELS = ("label", "class", "labels", "target", "category", "fine_label")
SPLITS = ("split",)
DOMAINS = ("domain",)


@dataclass(frozen=True)
class PictureTable:
    """Columns by name.

    :param columns: name -> one value per row.
    :param what: what messages call the table.
    :param lines: the line of the file that each row is in; ``None``: rows are counted from 0.
    """

    columns: dict[str, Sequence[Any]]
    what: str
    lines: Sequence[int] | None = None

    def where(self, row: int) -> str:
        """Return what messages call a row."""
        if self.lines is None:
            return f"{self.what}, row {row}"
        return f"{self.what}, line {self.lines[row]}"

    def column(self, given: str | None, usual: Sequence[str], option: str) -> Sequence[Any] | None:
        """Return a column; ``None`` if none is given and no usual one is there.

        :param given: its name.
        :param usual: names to look for, if none is given.
        :param option: that gives the name, for the message.
        :raises UserError: if there is no column of the name given.
        """
        name = given or next((name for name in usual if name in self.columns), None)
        if name is None:
            return None
        if name not in self.columns:
            raise UserError(
                f"{self.what} has no column {name!r}: {option} must be one of {self.listed}"
            )
        return self.columns[name]

    def needed(self, given: str | None, usual: Sequence[str], option: str) -> Sequence[Any]:
        """Return a column; raises like :meth:`column`, and if there is none."""
        found = self.column(given, usual, option)
        if found is None:
            raise UserError(
                f"{self.what} has the columns {self.listed}, none of them called "
                f"{' or '.join(usual)}: give the name of the right one as {option}{self._hint}"
            )
        return found

    @property
    def _hint(self) -> str:
        """What a table of one column may be."""
        only = next(iter(self.columns)) if len(self.columns) == 1 else ""
        if not any(mark in only for mark in ";\t|"):
            return ""
        return "; or is it one line cut by something else? Columns are cut by commas: save it so"

    @property
    def listed(self) -> str:
        return shortened(", ".join(map(repr, self.columns)))


def read_table(path: Path) -> PictureTable:
    """Read a CSV file with a line of names first (UTF-8), or a Parquet file.

    :raises DataMissingError: if it is not there.
    :raises UserError: if it cannot be read.
    """
    if path.is_dir():
        raise DataMissingError(
            f"{path} is a folder: give a CSV or Parquet file, or use image-folder for a folder"
        )
    if not path.is_file():
        raise DataMissingError(
            f"{path} is not there, or no file: give a CSV or Parquet file as path (seen from "
            f"{Path.cwd()}, or from data_root if that is given)"
        )
    if path.suffix.lower() in (".parquet", ".pq"):
        return PictureTable(_parquet(path), str(path))
    try:
        text = read_regular(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text ({error}): save it as CSV") from error
    return _csv(path, text)


def _csv(path: Path, text: str) -> PictureTable:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        names = [name.strip() for name in next(reader, [])]
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise UserError(
                    f"{path}, line {reader.line_num} has {len(row)} values, and the first line "
                    f"names {len(names)} columns: give one value for each, in quotes where it has "
                    "a comma"
                )
            rows.append([value.strip() for value in row])
            lines.append(reader.line_num)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}; mend the CSV file") from error
    if not rows:
        raise UserError(f"{path} has no rows: give a line of names, then a line for each image")
    if len(set(names)) < len(names):
        raise UserError(f"{path}: a name stands twice in its first line: {names}")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return PictureTable(dict(columns), str(path), lines)


def _parquet(path: Path) -> dict[str, Sequence[Any]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(
            f"{path} is a Parquet file, and pyarrow is not installed: pip install "
            "'cl-strategies[parquet]', or give a CSV file"
        ) from error
    try:
        found: dict[str, Sequence[Any]] = parquet.read_table(path).to_pydict()
    except Exception as error:  # pyarrow has its own for each kind of damage
        raise UserError(f"{path} cannot be read as Parquet ({error}): write it again") from error
    return found

"""A log as one CSV file per run, in long form.

Avalanche's ``CSVLogger`` begins its files anew when a run continues, rounds to four digits, and
writes 0 where nothing was measured.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from cl_strategies.experiment.loggers.sink import LogEntry, LoggedRun
from cl_strategies.io.atomic import write_text
from cl_strategies.io.links import check_no_link

HEADER = ("step", "experience", "name", "value")


class CsvSink:
    """``logs/csv/RUN.csv``."""

    def __init__(self, run: LoggedRun) -> None:
        self.path = run.folder / "csv" / f"{run.slug}.csv"
        check_no_link(self.path)
        if not (run.known and self.path.exists()):
            write_text(self.path, _lines([HEADER]))

    def identity(self) -> str:
        return self.path.name

    def write(self, entry: LogEntry) -> None:
        rows = [
            (entry.step, entry.experience, name, repr(float(value)))
            for name, value in entry.numbers.items()
        ]
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_lines(rows))

    def close(self, finished: bool | None) -> None:
        """There is nothing to end: the file is closed after each entry."""


def _lines(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()

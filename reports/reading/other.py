"""Another report to compare with: its run directories, or its ``summary.json`` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.errors.text import printable
from cl_strategies.io.bounded import read_regular
from cl_strategies.reports.reading.collection import Collection, Run, checked_folder, collect
from cl_strategies.results.heading import read_heading
from cl_strategies.results.json_text import decoded
from cl_strategies.results.record import RunRecord

SUMMARY = "summary.json"


def read_other(folder: Path | str) -> tuple[Collection, str]:
    """Return the runs of another report and what it is called.

    A published report has no run directories: then its ``summary.json``, which holds every run,
    is read.

    :param folder: the directory of the other report.
    :raises UserError: if there are neither runs nor a readable ``summary.json``.
    """
    path = checked_folder("against", folder)
    try:
        name = read_heading(path)
    except UserError:
        name = ""
    name = name or printable(path.resolve().name)
    if (path / "runs").is_dir() or not (path / SUMMARY).is_file():
        return collect(path), name
    try:
        data = decoded(read_regular(path / SUMMARY))
        runs = tuple(_run(item, path / SUMMARY) for item in data["runs"])
    except UserError:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path / SUMMARY} cannot be read ({error}): give a folder of runs, or of a report"
        ) from error
    return Collection(runs=runs), name


def _run(item: dict[str, Any], source: Path) -> Run:
    record = {key: value for key, value in item.items() if key not in ("directory", "environment")}
    environment = item.get("environment")
    return Run(
        directory=printable(str(item["directory"])),
        record=RunRecord.from_dict(record, source=str(source)),
        environment=environment if isinstance(environment, dict) else {},
    )

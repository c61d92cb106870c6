"""From run directories to the files of a report."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cl_strategies.atomic import write_text
from cl_strategies.errors import UserError
from cl_strategies.reports.collection import Collection, Problem, checked_folder, collect
from cl_strategies.reports.content import Content, content_of
from cl_strategies.reports.fields import quoted
from cl_strategies.reports.jsontext import json_lines
from cl_strategies.reports.leftovers import sweep
from cl_strategies.reports.literature import FILE, read_published
from cl_strategies.reports.markdown import markdown_text
from cl_strategies.reports.page import html_text
from cl_strategies.reports.tables import csv_text
from cl_strategies.reports.terminal import render_terminal_table

TITLE = "Continual-learning comparison"
SUMMARY_SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class ReportPaths:
    """Where the files of a report are, its summary for a terminal, and what is damaged."""

    csv: Path
    json: Path
    markdown: Path
    html: Path
    table: str
    problems: tuple[Problem, ...] = ()


def write_report(
    source_dir: Path | str, out_dir: Path | str | None = None, title: str | None = None
) -> ReportPaths:
    """Read ``source_dir/runs`` and write ``summary.csv``, ``summary.json``, ``report.md`` and
    ``report.html``.

    The same runs give the same bytes. Nothing is written unless all four could be made, and
    each file appears whole.

    :param source_dir: the directory that ``run`` or ``compare`` got as ``--out``.
    :param out_dir: where to write; ``source_dir`` when left out. It is made if it is missing.
    :param title: heading of the report.
    :raises UserError: if an argument is not of these types, there are no runs in ``source_dir``,
        or ``out_dir`` cannot be written to.
    """
    source_dir = checked_folder("source_dir", source_dir)
    out_dir = source_dir if out_dir is None else checked_folder("out_dir", out_dir)
    if title is not None and not isinstance(title, str):
        raise UserError(f"title is {quoted(title)}: give a text, or leave it out")
    collection = _with_published(collect(source_dir), source_dir)
    content = content_of(collection, title or TITLE)
    paths = ReportPaths(
        csv=out_dir / "summary.csv",
        json=out_dir / "summary.json",
        markdown=out_dir / "report.md",
        html=out_dir / "report.html",
        table=render_terminal_table(content.rows),
        problems=collection.problems,
    )
    texts = {
        paths.csv: csv_text(content.rows),
        paths.json: json_text(content),
        paths.markdown: markdown_text(content),
        paths.html: html_text(content),
    }
    sweep(out_dir, [FILE, *(path.name for path in texts)])
    for path, text in texts.items():
        write_text(path, text)
    return paths


def json_text(content: Content) -> str:
    """``summary.json``: every row, every run with its configuration, and what is missing."""
    collection = content.collection
    data: dict[str, Any] = {
        "schema": SUMMARY_SCHEMA,
        "rows": [_plain(asdict(row)) for row in content.rows],
        "runs": [
            {
                "directory": run.directory,
                **run.record.to_dict(),
                "environment": dict(run.environment),
            }
            for run in collection.runs
        ],
        "damaged": [asdict(problem) for problem in collection.problems],
        "unfinished": list(collection.unfinished),
    }
    if collection.published:
        data["published_elsewhere"] = [table.to_dict() for table in collection.published]
    return json_lines(data)


def _with_published(collection: Collection, folder: Path) -> Collection:
    try:
        return replace(collection, published=read_published(folder))
    except UserError as error:
        problem = Problem(file=FILE, message=str(error).replace(str(folder / FILE), FILE))
        return replace(collection, problems=(*collection.problems, problem))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in row.items()
    }

"""From run directories to the files of a report."""

from __future__ import annotations

import math
from collections.abc import Set
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import write_text
from cl_strategies.io.links import check_no_link
from cl_strategies.reports.analysis.tables import csv_text, wide_csv_text
from cl_strategies.reports.comparison.against import Against
from cl_strategies.reports.comparison.pairs import PairTable
from cl_strategies.reports.comparison.streams import Wins
from cl_strategies.reports.derived.folder import with_derived
from cl_strategies.reports.reading.collection import Collection, Problem, checked_folder, collect
from cl_strategies.reports.reading.other import read_other
from cl_strategies.reports.reading.temporary_files import sweep
from cl_strategies.reports.render.latex import latex_text
from cl_strategies.reports.render.markdown import markdown_text
from cl_strategies.reports.render.pages import FOLDER, INDEX, html_files
from cl_strategies.reports.render.pages import NAME as PAGE
from cl_strategies.reports.render.terminal import render_terminal_table
from cl_strategies.reports.sections.content import Content, content_of
from cl_strategies.reports.sections.factors import factor_data
from cl_strategies.results.heading import FILE as HEADING_FILE
from cl_strategies.results.heading import read_heading, read_origin
from cl_strategies.results.json_text import json_lines
from cl_strategies.results.published import FILE, read_published
from cl_strategies.validation.plain_data import shown

TITLE = "Continual-learning comparison"
SUMMARY_SCHEMA = 1
_CSV, _JSON, _MARKDOWN, _HTML = "summary.csv", "summary.json", "report.md", INDEX
_WIDE, _LATEX = "summary_wide.csv", "tables.tex"
# Drawing takes seconds. Another process that ended a run and wrote its report in the meantime had
# read more than this one did: then the runs are read again, or its report would be lost.
_MOST_READINGS = 4


@dataclass(frozen=True, kw_only=True)
class ReportPaths:
    """Where the files of a report are, its summary for a terminal, what is damaged, which runs are
    of several identities, which strategies do nothing, and what changed since another report."""

    csv: Path
    json: Path
    markdown: Path
    html: Path
    wide: Path
    latex: Path
    table: str
    problems: tuple[Problem, ...] = ()
    mixed: tuple[str, ...] = ()
    inert: tuple[str, ...] = ()
    against: str = ""


def write_report(
    source_dir: Path | str,
    out_dir: Path | str | None = None,
    title: str | None = None,
    against: Path | str | None = None,
) -> ReportPaths:
    """Read ``source_dir/runs`` and write ``summary.csv``, ``summary_wide.csv``, ``summary.json``,
    ``report.md``, ``report.html`` and ``tables.tex``.

    With several benchmarks and more strategies than a page holds ``report.html`` is an index, and
    ``report-pages`` has a page for each benchmark.

    The same runs give the same bytes. Nothing is written unless all of it could be made, and
    each file appears whole.

    :param source_dir: the directory that ``run`` or ``compare`` got as ``--out``.
    :param out_dir: where to write; ``source_dir`` when left out. It is made if it is missing.
    :param title: heading of the report; that of the suite when left out.
    :param against: the folder of another report, or of its runs: the report then says what
        changed since, and whether it is noise.
    :raises UserError: if an argument is not of these types, there are no runs in ``source_dir``
        or ``against``, or ``out_dir`` cannot be written to.
    """
    source_dir = checked_folder("source_dir", source_dir)
    out_dir = source_dir if out_dir is None else checked_folder("out_dir", out_dir)
    if title is not None and not isinstance(title, str):
        raise UserError(f"title is {shown(title)}: give a text, or leave it out")
    other = None if against is None else read_other(against)
    for _ in range(_MOST_READINGS):
        before = _stamp(out_dir / _CSV)
        collection, heading = collected(source_dir)
        content = content_of(collection, title or heading or TITLE, other)
        texts = {
            _CSV: csv_text(content.rows),
            _WIDE: wide_csv_text(content.rows),
            _LATEX: latex_text(content.shown_rows),
            _JSON: json_text(content),
            _MARKDOWN: markdown_text(content),
            **html_files(content),
        }
        if _stamp(out_dir / _CSV) == before:
            break
    sweep(out_dir, [FILE, HEADING_FILE, *(name for name in texts if "/" not in name)])
    _prepare_pages(out_dir / FOLDER, {name.partition("/")[2] for name in texts if "/" in name})
    for name, text in texts.items():
        write_text(out_dir / name, text)
    return ReportPaths(
        csv=out_dir / _CSV,
        json=out_dir / _JSON,
        markdown=out_dir / _MARKDOWN,
        html=out_dir / _HTML,
        wide=out_dir / _WIDE,
        latex=out_dir / _LATEX,
        table=render_terminal_table(content.shown_rows),
        problems=content.collection.problems,
        mixed=tuple(content.mixed),
        inert=tuple(content.inert),
        against=content.against.sentence if content.against else "",
    )


def _prepare_pages(folder: Path, wanted: Set[str]) -> None:
    """Take pages of an earlier report away that this one does not have.

    :raises UserError: if the folder is a link.
    """
    check_no_link(folder)
    if not folder.is_dir():
        return
    sweep(folder, wanted)
    for path in folder.iterdir():
        if PAGE.fullmatch(path.name) and path.name not in wanted:
            with suppress(OSError):
                path.unlink()
    with suppress(OSError):
        folder.rmdir()  # if nothing is left in it


def json_text(content: Content) -> str:
    """Return ``summary.json``: every row, every run with its configuration, and what is missing."""
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
    if content.comparisons:
        data["comparisons"] = [comparison_data(table) for table in content.comparisons]
    if content.wins:
        data["wins"] = _wins(content.wins)
    if content.factors:
        data["factors"] = [factor_data(section) for section in content.factors]
    if content.against:
        data["against"] = _against(content.against)
    if content.splits:
        data["variance"] = [asdict(table) for table in content.splits]
    if content.mixed:
        data["mixed"] = content.mixed
    if content.inert:
        data["inert"] = content.inert
    if collection.published:
        data["published_elsewhere"] = [table.to_dict() for table in collection.published]
    return json_lines(data)


def comparison_data(table: PairTable) -> dict[str, Any]:
    """Return the comparisons of one benchmark as plain data."""
    data = asdict(table)
    del data["signs"]
    return data


def _wins(found: Wins) -> dict[str, Any]:
    pairs = [
        {"strategy": row, "other": column, "wins": cell[0], "ties": cell[1], "losses": cell[2]}
        for (row, column), cell in sorted(found.counts.items())
    ]
    return {"benchmarks": found.benchmarks, "strategies": found.strategies, "pairs": pairs}


def _against(found: Against) -> dict[str, Any]:
    data = asdict(found)
    data["changes"] = [_plain(change) for change in data["changes"]]
    return data


def _stamp(path: Path) -> tuple[int, int] | None:
    """Changes whenever ``path`` is written; ``None`` while it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def collected(folder: Path) -> tuple[Collection, str]:
    """Return what was found in ``folder``, and the title of its suite."""
    collection, heading = _with_later_metrics(folder, collect(folder)), ""
    try:
        collection = replace(collection, published=read_published(folder))
    except UserError as error:
        collection = _with_problem(collection, folder, FILE, error)
    try:
        heading = read_heading(folder)
        collection = replace(collection, origin=read_origin(folder))
    except UserError as error:
        collection = _with_problem(collection, folder, HEADING_FILE, error)
    return collection, heading


def _with_problem(collection: Collection, folder: Path, file: str, error: UserError) -> Collection:
    problem = Problem(file=file, message=str(error).replace(str(folder / file), file))
    return replace(collection, problems=(*collection.problems, problem))


def _with_later_metrics(folder: Path, collection: Collection) -> Collection:
    found = [with_derived(folder, run) for run in collection.runs]
    problems = [problem for _, problem in found if problem is not None]
    return replace(
        collection,
        runs=tuple(run for run, _ in found),
        problems=tuple(sorted([*collection.problems, *problems], key=lambda p: p.file)),
    )


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in row.items()
    }

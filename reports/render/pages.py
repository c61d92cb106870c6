"""The HTML files of a report: one page, or an index and a page for each benchmark."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cl_strategies.reports.analysis.summary_table import benchmarks_of
from cl_strategies.reports.render.html import html_text
from cl_strategies.reports.sections.content import Content, counts_of

INDEX, FOLDER = "report.html", "report-pages"
MOST_LINES = 100
"""Strategies on a benchmark, summed over the benchmarks, that one page holds: some 4 MB at most."""
NAME = re.compile(r"[0-9]{3}-[a-z0-9-]{0,40}\.html")


def html_files(content: Content) -> dict[str, str]:
    """Return name -> text: ``report.html``, and with several benchmarks and more than
    :data:`MOST_LINES` lines in the summary a page for each benchmark."""
    benchmarks = benchmarks_of(content.rows)
    if len(benchmarks) < 2 or len(content.groups) <= MOST_LINES:
        return {INDEX: html_text(content)}
    names = {name: _file(k, name) for k, name in enumerate(benchmarks, start=1)}
    files = {
        f"{FOLDER}/{names[name]}": html_text(only(content, name), up=f"../{INDEX}")
        for name in benchmarks
    }
    pages = {name: f"{FOLDER}/{file}" for name, file in names.items()}
    return {**files, INDEX: html_text(index_of(content), pages=pages)}


def only(content: Content, benchmark: str) -> Content:
    """Return what the report says of one benchmark."""
    groups = [group for group in content.groups if group.benchmark == benchmark]
    own = {id(record) for group in groups for record in group.records}
    runs = tuple(run for run in content.collection.runs if id(run.record) in own)
    collection = replace(content.collection, runs=runs, problems=(), unfinished=(), published=())
    parts = ("rows", "shown", "shown_rows", "factors", "widths", "memories", "traces")
    tables: dict[str, Any] = {
        name: [item for item in getattr(content, name) if item.benchmark == benchmark]
        for name in (*parts, "disparities", "comparisons", "splits")
    }
    return replace(
        content,
        title=f"{content.title}: {benchmark}",
        collection=collection,
        groups=groups,
        layouts={name: found for name, found in content.layouts.items() if name == benchmark},
        counts=counts_of(collection, groups),
        findings=[item for item in content.findings if item[0] == benchmark],
        notices=[],
        labels=content.labels.on(benchmark),
        wins=None,
        ranks=None,
        against=None,
        **tables,
    )


def index_of(content: Content) -> Content:
    """Return what the report says of all benchmarks together."""
    names = ("factors", "widths", "memories", "traces", "disparities", "splits", "comparisons")
    empty: dict[str, Any] = {name: [] for name in names}
    return replace(content, layouts={}, **empty)


def _file(k: int, benchmark: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", benchmark.lower()).strip("-")
    return f"{k:03d}-{words[:40].strip('-')}.html"

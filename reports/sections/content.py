"""What a report says, worked out once for all the forms it is written in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cl_strategies.reports.analysis.configuration import environment_table
from cl_strategies.reports.analysis.findings import notices
from cl_strategies.reports.analysis.grouping import Group, group_records
from cl_strategies.reports.analysis.mixing import identity_rows, mixed
from cl_strategies.reports.analysis.orders import DisparityTable, disparity_tables
from cl_strategies.reports.analysis.tables import SummaryRow, summarize
from cl_strategies.reports.reading.collection import Collection
from cl_strategies.reports.sections.bits import BitTable, bit_tables
from cl_strategies.reports.sections.during_training import TraceTable, trace_tables
from cl_strategies.reports.sections.exemplars import ExemplarTable, exemplar_tables
from cl_strategies.results.formatting import count


@dataclass(frozen=True, kw_only=True)
class Content:
    """The runs of a report and the tables made from them.

    :param title: heading of the report.
    :param collection: what was found on disk.
    :param groups: its runs as groups of repetitions.
    :param rows: the summary of ``groups``.
    :param counts: how much there is, for the line below the title.
    :param notices: what to know before comparing.
    :param mixed: those of the notices that say that runs are of several identities.
    :param widths: accuracy by bit-width, for each benchmark with several.
    :param memories: what exemplars cost in bytes, for each benchmark with such a memory.
    :param traces: what happens during training, for each benchmark on which that was evaluated.
    :param environments: of all parts of all runs.
    :param disparities: what the order of the tasks changes, for each benchmark with several.
    """

    title: str
    collection: Collection
    groups: list[Group]
    rows: list[SummaryRow]
    counts: list[str]
    notices: list[str]
    mixed: list[str]
    widths: list[BitTable]
    memories: list[ExemplarTable]
    traces: list[TraceTable]
    environments: list[tuple[str, str]]
    disparities: list[DisparityTable]


def content_of(collection: Collection, title: str) -> Content:
    """Group and summarize the runs of ``collection``."""
    groups = group_records(run.record for run in collection.runs)
    rows = summarize(groups)
    several = mixed(collection.runs, groups)
    return Content(
        title=title,
        collection=collection,
        groups=groups,
        rows=rows,
        counts=_counts(collection, groups),
        notices=[*several, *notices(collection, groups)],
        mixed=several,
        widths=bit_tables(groups, rows),
        memories=exemplar_tables(collection, groups, rows),
        traces=trace_tables(collection, groups, rows),
        environments=environment_table(
            [
                *identity_rows(collection.runs),
                *(environment for run in collection.runs for environment in run.environments),
            ]
        ),
        disparities=disparity_tables(groups),
    )


def _counts(collection: Collection, groups: Sequence[Group]) -> list[str]:
    failed = sum(group.n_failed for group in groups)
    parts = [
        count(len({group.strategy for group in groups}), "strategy", "strategies"),
        count(len({group.benchmark for group in groups}), "benchmark"),
        count(len(collection.runs) - failed, "finished run"),
    ]
    if failed:
        parts.append(f"{failed} failed")
    if collection.unfinished:
        parts.append(f"{len(collection.unfinished)} unfinished")
    if collection.problems:
        parts.append(f"{len(collection.problems)} damaged or copied")
    return parts

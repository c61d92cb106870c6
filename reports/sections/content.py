"""What a report says, worked out once for all the forms it is written in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cl_strategies.reports.analysis.configuration import environment_table
from cl_strategies.reports.analysis.findings import Finding, findings, notices
from cl_strategies.reports.analysis.grouping import Group, group_records
from cl_strategies.reports.analysis.inert import inert
from cl_strategies.reports.analysis.labels import Labels, labels_of
from cl_strategies.reports.analysis.layout import Layout, layouts_of
from cl_strategies.reports.analysis.marks import MANY, PRIMARY
from cl_strategies.reports.analysis.mixing import identity_rows, mixed
from cl_strategies.reports.analysis.orders import DisparityTable, disparity_tables
from cl_strategies.reports.analysis.summary_table import benchmarks_of
from cl_strategies.reports.analysis.tables import SummaryRow, summarize
from cl_strategies.reports.comparison.against import Against, against
from cl_strategies.reports.comparison.components import SplitTable, share_findings, split_tables
from cl_strategies.reports.comparison.learning import less_learnt
from cl_strategies.reports.comparison.pairs import PairTable, pair_tables
from cl_strategies.reports.comparison.sentences import comparison_findings
from cl_strategies.reports.comparison.streams import Ranks, Wins, ranks, wins
from cl_strategies.reports.reading.collection import Collection
from cl_strategies.reports.sections.bits import BitTable, bit_tables
from cl_strategies.reports.sections.during_training import TraceTable, trace_tables
from cl_strategies.reports.sections.exemplars import ExemplarTable, exemplar_tables
from cl_strategies.reports.sections.factors import FactorSection, factor_sections
from cl_strategies.reports.sections.growth import GrowthTable, growth_tables
from cl_strategies.results.formatting import count


@dataclass(frozen=True, kw_only=True)
class Content:
    """The runs of a report and the tables made from them.

    :param title: heading of the report.
    :param collection: what was found on disk.
    :param groups: its runs as groups of repetitions, by their labels in ``summary.csv``.
    :param rows: the summary of ``groups``.
    :param labels: short labels of variants.
    :param shown: ``groups`` under their short labels, as in all that follows.
    :param shown_rows: ``rows`` under their short labels.
    :param layouts: label of each benchmark with many variants, and its facets.
    :param factors: what the factors do, for each of these benchmarks.
    :param counts: how much there is, for the line below the title.
    :param findings: label of each benchmark, and what the numbers say there.
    :param notices: what to know before comparing.
    :param mixed: those of the notices that say that runs are of several identities.
    :param inert: those that say which strategies do nothing as they are set.
    :param widths: accuracy by bit-width, for each benchmark with several.
    :param memories: what exemplars cost in bytes, for each benchmark with such a memory.
    :param traces: what happens during training, for each benchmark on which that was evaluated.
    :param environments: of all parts of all runs.
    :param disparities: what the order of the tasks changes, for each benchmark with several.
    :param comparisons: competitors pair by pair, for each benchmark.
    :param crowded: whether a benchmark has so many competitors that marks follow another rule.
    :param wins: the same counted over the benchmarks; ``None`` with fewer than two.
    :param ranks: mean ranks; ``None`` with too few benchmarks.
    :param against: what changed since another report, if one was named.
    :param splits: variance of order, seed and rest, for each benchmark with several orders.
    :param growths: what is stored at the end, for each benchmark where that grows with the tasks.
    """

    title: str
    collection: Collection
    groups: list[Group]
    rows: list[SummaryRow]
    labels: Labels
    shown: list[Group]
    shown_rows: list[SummaryRow]
    layouts: dict[str, Layout]
    factors: list[FactorSection]
    counts: list[str]
    findings: list[tuple[str, list[Finding]]]
    notices: list[str]
    mixed: list[str]
    inert: list[str]
    widths: list[BitTable]
    memories: list[ExemplarTable]
    traces: list[TraceTable]
    environments: list[tuple[str, str]]
    disparities: list[DisparityTable]
    comparisons: list[PairTable]
    crowded: bool
    wins: Wins | None
    ranks: Ranks | None
    splits: list[SplitTable]
    growths: list[GrowthTable]
    against: Against | None


def content_of(
    collection: Collection, title: str, other: tuple[Collection, str] | None = None
) -> Content:
    """Group and summarize the runs of ``collection``.

    :param other: another report and its name, to compare with.
    """
    groups = group_records(run.record for run in collection.runs)
    rows = summarize(groups)
    labels = labels_of(groups)
    shown, shown_rows = labels.groups(groups), labels.rows(rows)
    layouts = layouts_of(shown)
    several = mixed(collection.runs, shown)
    idle = inert(shown, collection.origin)
    comparisons = pair_tables(shown)
    splits = split_tables(shown)
    return Content(
        title=title,
        collection=collection,
        groups=groups,
        rows=rows,
        labels=labels,
        shown=shown,
        shown_rows=shown_rows,
        layouts=layouts,
        factors=factor_sections(layouts, shown),
        counts=counts_of(collection, groups),
        findings=_findings(shown, shown_rows, comparisons, splits),
        notices=[*several, *idle, *notices(collection, shown)],
        mixed=several,
        inert=idle,
        traces=trace_tables(collection, shown, shown_rows),
        widths=bit_tables(
            groups,
            rows,
            labels,
            layouts,
            {run.record.config_hash: run.export for run in collection.runs if run.export},
        ),
        memories=exemplar_tables(collection, groups, rows, labels, layouts),
        environments=environment_table(
            [
                *identity_rows(collection.runs),
                *(environment for run in collection.runs for environment in run.environments),
            ]
        ),
        disparities=disparity_tables(shown),
        comparisons=comparisons,
        crowded=any(len(table.strategies) > MANY for table in comparisons),
        wins=wins(comparisons),
        ranks=ranks(shown_rows, PRIMARY),
        splits=splits,
        growths=growth_tables(shown, shown_rows),
        against=None if other is None else against(collection, *other),
    )


def _findings(
    groups: Sequence[Group],
    rows: Sequence[SummaryRow],
    comparisons: Sequence[PairTable],
    splits: Sequence[SplitTable],
) -> list[tuple[str, list[Finding]]]:
    tables = {table.benchmark: table for table in comparisons}
    shares = {table.benchmark: table for table in splits}
    result = []
    for benchmark in benchmarks_of(rows):
        found = findings(rows, benchmark)
        if benchmark in tables:
            found += less_learnt(groups, benchmark)
            found += comparison_findings(tables[benchmark])
        if benchmark in shares:
            found += share_findings(shares[benchmark])
        result.append((benchmark, found))
    return result


def counts_of(collection: Collection, groups: Sequence[Group]) -> list[str]:
    """Return how much there is, in words."""
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

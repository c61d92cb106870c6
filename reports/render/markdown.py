"""The report as Markdown: the tables without the figures."""

from __future__ import annotations

from collections.abc import Sequence

from cl_strategies.reports.analysis.configuration import hyperparameters
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.summary_table import MARKS, Table, summary_table
from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.derived.keys import columns, presentation
from cl_strategies.reports.reading.collection import Collection, Run
from cl_strategies.reports.render.markdown_comparisons import (
    against_blocks,
    comparison_blocks,
    factor_blocks,
    split_blocks,
)
from cl_strategies.reports.render.markdown_parts import bullets, escape, table_text
from cl_strategies.reports.sections import growth
from cl_strategies.reports.sections.content import Content
from cl_strategies.reports.sections.exemplars import HEADINGS as EXEMPLAR_HEADINGS
from cl_strategies.results.published import WARNING


def markdown_text(content: Content) -> str:
    """Return ``report.md``; everything that comes from runs is escaped. See :func:`html_text`."""
    collection, rows = content.collection, content.shown_rows
    blocks = [f"# {escape(content.title)}", " · ".join(content.counts)]
    blocks.append("Figures, full configurations and tracebacks are in `report.html`.")
    if content.notices:
        notices = [escape(text) for text in content.notices]
        blocks += ["## Before you compare", bullets(notices)]
    blocks += against_blocks(content.against)
    blocks.append("## Summary")
    blocks.append(
        f"Mean ± sample standard deviation over n finished runs. {MARKS['best']} better than every "
        f"other; {MARKS['level']} cannot be told apart from the one with the best mean (paired "
        "comparisons, Holm). Bold: the best mean. Strategies in italics are references and never "
        "marked."
    )
    for benchmark, found in content.findings:
        sentences = [
            f"**{escape(item.name)}** {escape(item.text)}" if item.name else escape(item.text)
            for item in found
        ]
        blocks += [f"### {escape(benchmark)}", bullets(sentences)]
        blocks.append(_summary(summary_table(rows, benchmark)))
    blocks += comparison_blocks(content)
    blocks += factor_blocks(content.factors)
    for widths in content.widths:
        blocks.append(f"## Bit-widths on {escape(widths.benchmark)}")
        lines = [[name, *cells] for name, cells in widths.lines]
        blocks.append(table_text(["Strategy", *widths.headings], lines, numbers_from=1))
    for memory in content.memories:
        blocks.append(f"## Exemplars in bytes on {escape(memory.benchmark)}")
        lines = [[name, *cells] for name, cells in memory.lines]
        blocks.append(table_text(["Strategy", *EXEMPLAR_HEADINGS], lines, numbers_from=1))
    for grown in content.growths:
        blocks += [f"## Growth on {escape(grown.benchmark)}", growth.EXPLANATION]
        lines = [[name, *cells] for name, cells in grown.lines]
        blocks.append(table_text(["Strategy", *growth.HEADINGS], lines, numbers_from=1))
    for traced in content.traces:
        blocks.append(f"## During training on {escape(traced.benchmark)}")
        lines = [[name, *cells] for name, cells in traced.lines]
        blocks.append(table_text(["Strategy", *traced.headings], lines, numbers_from=1))
    for table in content.disparities:
        blocks.append(f"## Task orders on {escape(table.benchmark)}")
        blocks.append(
            "Largest minus smallest final accuracy of each task over the orders, in percentage "
            f"points ({table.items[0].orders} orders; tasks by their original index). The floor is "
            "what the seeds alone would make of AOPD, the excess what is above it, p that of "
            "orders that make no difference."
        )
        head = ["Strategy", *table.headings]
        blocks.append(table_text(head, [list(line) for line in table.lines], numbers_from=1))
    blocks += split_blocks(content.splits)
    blocks += _published(collection)
    blocks += ["## Failed and missing runs", *_missing(collection)]
    blocks += ["## Hyper-parameters", _hyperparameters(content.shown)]
    if content.labels.changed:
        names = [list(pair) for pair in content.labels.changed]
        blocks += ["### Names in summary.csv", table_text(["Here", "In summary.csv"], names)]
    if content.environments:
        blocks += [
            "## Environment",
            table_text(["What", "Value"], [list(pair) for pair in content.environments]),
        ]
    blocks += ["## What the numbers mean", _meanings(rows)]
    return "\n\n".join(blocks) + "\n"


def _summary(table: Table) -> str:
    rules = ["---", *["---:"] * (len(table.headings) + 1)]
    lines = [["Strategy", *(escape(heading) for heading in table.headings), "n"], rules]
    for line in table.lines:
        name = f"*{escape(line.strategy)}*" if line.reference else escape(line.strategy)
        cells = [f"**{c.full}**" if c.leads else c.full for c in line.cells]
        lines.append([name, *cells, line.runs])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _published(collection: Collection) -> list[str]:
    blocks = ["## Published elsewhere", WARNING] if collection.published else []
    for table in collection.published:
        blocks += [f"### {escape(table.setting)}", f"{escape(table.source)}. {escape(table.note)}"]
        blocks.append(table_text(["Strategy", *table.headings], table.lines, numbers_from=1))
    return blocks


def _missing(collection: Collection) -> list[str]:
    blocks = [_failure(run) for run in collection.runs if not run.record.finished]
    blocks += [f"- Not used: {escape(p.file)}: {escape(p.message)}" for p in collection.problems]
    blocks += [f"- Unfinished: {escape(name)}" for name in collection.unfinished]
    return ["\n".join(blocks) or "None."]


def _failure(run: Run) -> str:
    error = run.record.error or {}
    return (
        f"- Failed ({escape(error.get('kind', ''))}): {escape(run.directory)}: "
        f"{escape(error.get('message', ''))}"
    )


def _hyperparameters(groups: Sequence[Group]) -> str:
    return table_text(
        ["Strategy", "Benchmark", "Hyper-parameters"],
        [
            [
                item.strategy,
                ", ".join(item.benchmarks),
                ", ".join(f"{key} = {value}" for key, value in item.options) or "none",
            ]
            for item in hyperparameters(groups)
        ],
    )


def _meanings(rows: Sequence[SummaryRow]) -> str:
    used = {row.metric for row in rows}
    items = []
    for name in columns():
        if name in used:
            metric = presentation(name)
            formula = f" `{metric.formula}`." if metric.formula else ""
            source = f" {metric.source}." if metric.source else ""
            items.append(f"**{metric.title}** (`{name}`): {metric.meaning}{formula}{source}")
    return bullets(items)

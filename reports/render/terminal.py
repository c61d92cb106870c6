"""The summary at the end of ``compare``, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from cl_strategies.reports.analysis.summary_table import Line, Table, benchmarks_of, summary_table
from cl_strategies.reports.analysis.tables import SummaryRow

_METRICS = ("average_accuracy", "forgetting", "backward_transfer", "train_seconds")
_SHORT = {
    "average_accuracy": "avg acc",
    "forgetting": "forgetting",
    "backward_transfer": "BWT",
    "train_seconds": "time",
}
_COLUMNS = 100


def render_terminal_table(rows: Sequence[SummaryRow]) -> str:
    """Aligned plain text, one block for each benchmark, at most 100 columns wide where it can be.

    :param rows: the rows of :func:`cl_strategies.reports.analysis.tables.aggregate`.
    """
    blocks = [_block(summary_table(rows, name, _METRICS)) for name in benchmarks_of(rows)]
    keys = {
        "best": "* better than every other",
        "level": "~ cannot be told apart from the best mean",
    }
    used = [text for mark, text in keys.items() if any(row.mark == mark for row in rows)]
    if used:
        blocks.append("   ".join(used))
    return "\n\n".join(blocks) + "\n"


def _block(table: Table) -> str:
    headings = ["strategy", *(_heading(table, i) for i in range(len(table.metrics))), "n"]
    lines = [_cells(line) for line in table.lines]
    widths = [max(len(line[i]) for line in [headings, *lines]) for i in range(len(headings))]
    widths[0] = min(widths[0], max(24, _COLUMNS - sum(widths[1:]) - 2 * (len(widths) - 1)))
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    text = [table.benchmark, rule, _aligned(headings, widths), rule]
    referring = False
    for line, cells in zip(table.lines, lines, strict=True):
        if line.reference and not referring and line is not table.lines[0]:
            text.append(rule)
        referring = line.reference
        text.append(_aligned(cells, widths))
    return "\n".join([*text, rule])


def _heading(table: Table, column: int) -> str:
    unit = table.headings[column].rpartition(" (")[2]
    return f"{_SHORT[table.metrics[column]]} ({unit}"


def _cells(line: Line) -> list[str]:
    marks = {"best": "*", "level": "~", "": " "}
    cells = []
    for cell in line.cells:
        spread = f" ± {cell.spread:>4}" if cell.spread else ""
        cells.append(f"{cell.text}{spread} {marks[cell.mark]}")
    return [line.strategy, *cells, line.runs]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = _shortened(cells[0], widths[0]).ljust(widths[0])
    middle = (cell.rjust(width) for cell, width in zip(cells[1:-1], widths[1:-1], strict=True))
    return "  ".join([first, *middle, cells[-1]]).rstrip()


def _shortened(name: str, width: int) -> str:
    if len(name) <= width:
        return name
    tail = (width - 3) // 2  # variants differ at their ends
    return f"{name[: width - tail - 3]}...{name[-tail:]}"

"""The summary as tables for a paper, in LaTeX with the package booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from cl_strategies.reports.analysis.summary_table import (
    Cell,
    Line,
    Table,
    benchmarks_of,
    summary_table,
)
from cl_strategies.reports.analysis.tables import SummaryRow

METRICS = (
    "average_accuracy",
    "average_incremental_accuracy",
    "forgetting",
    "backward_transfer",
    "learning_accuracy",
)
_MINUS = "\u2212"
_ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    _MINUS: "$-$",
    "\u2013": "--",
    "\u00b1": r"$\pm$",
    "\u00d7": r"$\times$",
    "\u2026": r"\ldots{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
_HEAD = (
    "% \\usepackage{booktabs}\n"
    "% Mean and sample standard deviation over the finished runs.\n"
    "% Bold: better than every other method; pairs of runs of the same order and seed, p adjusted\n"
    "% by Holm over all pairs of methods, at most 0.05. A best mean alone is not bold.\n"
)


def latex_text(rows: Sequence[SummaryRow]) -> str:
    """Return a ``table`` for each benchmark; bold is what the tests call the best.

    :param rows: all rows of the report, under the labels that it shows.
    """
    tables = [_table(summary_table(rows, name, METRICS)) for name in benchmarks_of(rows)]
    return "\n".join([_HEAD, *tables])


def escaped(text: str) -> str:
    """Return ``text`` with what LaTeX would obey, or does not have, written out."""
    return "".join(_ESCAPED.get(letter, letter) for letter in text)


def _table(table: Table) -> str:
    lines = [
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{escaped(table.benchmark)}, in percent.}}",
        f"  \\begin{{tabular}}{{l{'r' * len(table.headings)}r}}",
        r"    \toprule",
        _row(["Method", *(escaped(text.removesuffix(" (%)")) for text in table.headings), "Runs"]),
        r"    \midrule",
    ]
    before: Line | None = None
    for line in table.lines:
        if before is not None and line.reference and not before.reference:
            lines.append(r"    \midrule")
        lines.append(_row([escaped(line.strategy), *map(_cell, line.cells), escaped(line.runs)]))
        before = line
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""])


def _row(cells: Sequence[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def _cell(cell: Cell) -> str:
    if not cell.sorted_by:
        return "--"
    mean = cell.text.replace(_MINUS, "-")
    mean = f"\\mathbf{{{mean}}}" if cell.mark == "best" else mean
    spread = f" \\pm {cell.spread}" if cell.spread else ""
    return f"${mean}{spread}$"

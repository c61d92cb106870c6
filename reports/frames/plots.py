"""The figures of a report as matplotlib's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.reports.analysis.curves.experiences import mean_matrix, seen_spread
from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.summary_table import rows_of
from cl_strategies.reports.frames.heat_map import draw_matrix
from cl_strategies.reports.plots.bars import draw_forgetting, draw_memory
from cl_strategies.reports.plots.cost import draw_cost
from cl_strategies.reports.plots.curves import draw_curves
from cl_strategies.reports.plots.pairs.forest import draw_forest
from cl_strategies.reports.plots.palette import Style, assign_styles
from cl_strategies.reports.plots.svg import Drawing, InlineFigure
from cl_strategies.reports.sections.content import Content


class Plots:
    """Figures of one report; a notebook shows what a method returns.

    Each takes the label of a benchmark, which may be left out where there is only one, and raises
    ``UserError`` for a label that is none and where there is nothing to draw.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        groups = content.shown
        self.styles: Mapping[str, Style] = assign_styles(
            {group.strategy: group.records[0].strategy for group in groups}
        )

    def accuracy(self, benchmark: str | None = None) -> InlineFigure:
        """Draw the accuracy on the experiences seen so far, over the stream."""
        return self._drawn(draw_curves(self._groups(benchmark), self.styles))

    def spread(self, benchmark: str | None = None) -> InlineFigure:
        """Draw the standard deviation of these accuracies over the experiences."""
        label = "spread over tasks seen so far (%)"
        groups = self._groups(benchmark)
        return self._drawn(draw_curves(groups, self.styles, curve_of=seen_spread, label=label))

    def forgetting(self, benchmark: str | None = None) -> InlineFigure:
        """Draw the forgetting of each strategy."""
        return self._drawn(draw_forgetting(self._rows(benchmark, "forgetting"), self.styles))

    def cost(self, benchmark: str | None = None) -> InlineFigure:
        """Draw accuracy against training time."""
        rows = [self._rows(benchmark, name) for name in ("average_accuracy", "train_seconds")]
        return self._drawn(draw_cost(*rows, self.styles))

    def memory(self, benchmark: str | None = None) -> InlineFigure:
        """Draw the bytes of the model, and of what the method keeps beside it."""
        rows = [self._rows(benchmark, name) for name in ("parameter_bytes", "method_state_bytes")]
        return self._drawn(draw_memory(*rows, self.styles))

    def pairs(self, benchmark: str | None = None) -> InlineFigure:
        """Draw how far the best mean is ahead of the others, with 95 % intervals."""
        name = self._benchmark(benchmark)
        tables = [table for table in self._content.comparisons if table.benchmark == name]
        if not tables:
            return self._drawn(None)
        leader = tables[0].strategies[0]
        pairs = [pair for pair in tables[0].pairs if pair.a == leader]
        return self._drawn(draw_forest(pairs, tables[0].rope, leader))

    def matrix(self, strategy: str, benchmark: str | None = None) -> InlineFigure:
        """Draw the accuracy matrix of one strategy, mean over its runs.

        :param strategy: its label, that of a figure or that of ``summary.csv``.
        """
        groups = {group.strategy: group for group in self._groups(benchmark)}
        short = self._content.labels.short
        strategy = short.get((self._benchmark(benchmark), strategy), strategy)
        if strategy not in groups:
            raise unknown_name("strategy of the report", strategy, groups)
        found = mean_matrix(groups[strategy])
        return self._drawn(draw_matrix(found) if np.isfinite(found).any() else None)

    def _benchmark(self, name: str | None) -> str:
        known = sorted({group.benchmark for group in self._content.shown})
        if name is None and len(known) == 1:
            return known[0]
        if name is None:
            raise UserError(f"there are several benchmarks: name one of {', '.join(known)}")
        if name not in known:
            raise unknown_name("benchmark of the report", name, known)
        return name

    def _groups(self, benchmark: str | None) -> list[Group]:
        name = self._benchmark(benchmark)
        return [group for group in self._content.shown if group.benchmark == name]

    def _rows(self, benchmark: str | None, metric: str) -> Sequence[Any]:
        return rows_of(self._content.shown_rows, self._benchmark(benchmark), metric)

    @staticmethod
    def _drawn(drawing: Drawing | None) -> InlineFigure:
        if drawing is None:
            raise UserError("there is nothing to draw: no finished run has these numbers")
        return drawing.figure

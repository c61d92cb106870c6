"""A report as an object, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2

from cl_strategies.reports.analysis.summary_table import MARKS, benchmarks_of, summary_table
from cl_strategies.reports.frames import tables
from cl_strategies.reports.frames.pandas_module import pandas
from cl_strategies.reports.frames.plots import Plots
from cl_strategies.reports.plots.curves import curves_svg
from cl_strategies.reports.plots.palette import SURFACE
from cl_strategies.reports.reading.collection import Run
from cl_strategies.reports.render.terminal import render_terminal_table
from cl_strategies.reports.sections.content import Content, content_of
from cl_strategies.reports.write import TITLE, collected

_METRICS = ("average_accuracy", "forgetting", "backward_transfer", "learning_accuracy")
_PAGE = jinja2.Environment(autoescape=True).from_string(
    """<h3>{{ title }}</h3><p>{{ counts | join(", ") }}</p>
{% for notice in notices %}<p><strong>{{ notice }}</strong></p>{% endfor %}
{% for table in tables %}<table><caption>{{ table.benchmark }}</caption>
<tr><th>Strategy</th>{% for text in table.headings %}<th>{{ text }}</th>{% endfor %}<th>n</th></tr>
{% for line in table.lines %}<tr><td style="text-align: left">{{ line.strategy }}</td>
{% for cell in line.cells %}<td>{{ cell.full }}</td>{% endfor %}<td>{{ line.runs }}</td></tr>
{% endfor %}</table>{% endfor %}
<p>{{ marks.best }} better than every other; {{ marks.level }} cannot be told apart from the best
mean.</p>"""
)


def load(folder: str | Path) -> Report:
    """Read the runs of a folder, as a report does.

    :param folder: what ``--out`` of ``run`` or ``compare`` was.
    :raises UserError: if there are no runs, or they cannot be read.
    """
    collection, heading = collected(Path(folder))
    return Report(content_of(collection, heading or TITLE))


class Report:
    """The runs of a folder as data frames of pandas, and their figures.

    In all frames ``benchmark`` and ``strategy`` are the labels of ``summary.csv``, ``run`` is a
    run's directory, ``after`` and ``position`` count experiences in the order of training from 0,
    and ``task`` is the original index of an experience. Accuracies are fractions, times seconds,
    memory bytes. What was not measured is NaN, or has no row.

    :ivar plot: figures (:class:`~cl_strategies.reports.frames.plots.Plots`).
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self.plot = Plots(content)

    @property
    def title(self) -> str:
        """That of the suite."""
        return self._content.title

    @property
    def notices(self) -> list[str]:
        """What to know before comparing."""
        return list(self._content.notices)

    @cached_property
    def summary(self) -> Any:
        """Mean, standard deviation and n of each metric, as in ``summary.csv``, with the failed
        runs and the mark of each row: ``"best"``, ``"level"`` or ``""``."""
        return _frame(tables.summary_rows(self._content.rows), tables.SUMMARY)

    @cached_property
    def runs(self) -> Any:
        """One row for each run, failed ones too: who it is, how it ended, and its metrics."""
        return _frame(tables.run_rows(self._runs), tables.RUNS)

    @cached_property
    def matrix(self) -> Any:
        """Accuracy matrices in long form: ``accuracy`` on ``position`` ``after`` training."""
        return _frame(tables.matrix_rows(self._runs), tables.MATRIX)

    @cached_property
    def curves(self) -> Any:
        """After each experience: accuracy on those seen so far, seconds and bytes."""
        return _frame(tables.curve_rows(self._runs), tables.CURVES)

    @cached_property
    def exemplars(self) -> Any:
        """What memories in bytes hold after each experience."""
        return _frame(tables.exemplar_rows(self._runs), tables.EXEMPLARS)

    @cached_property
    def trace(self) -> Any:
        """Accuracies during training, where ``[continual_evaluation]`` measured them."""
        return _frame(tables.trace_rows(self._runs), tables.TRACE)

    @cached_property
    def pairs(self) -> Any:
        """Strategies beside each other: difference of average accuracy a - b, interval, verdict."""
        rows = ({**row, **self._long(row)} for row in tables.pair_rows(self._content.comparisons))
        return _frame(rows, tables.PAIRS)

    @cached_property
    def _runs(self) -> Sequence[tables.Named]:
        labels = {
            record.config_hash: (group.benchmark, group.strategy)
            for group in self._content.groups
            for record in group.records
        }
        runs: Sequence[Run] = self._content.collection.runs
        return [(run, *labels[run.record.config_hash]) for run in runs]

    def _long(self, row: tables.Row) -> dict[str, str]:
        """Return the labels of ``summary.csv`` for those of a figure."""
        names = {
            short: label
            for (benchmark, label), short in self._content.labels.short.items()
            if benchmark == row["benchmark"]
        }
        return {side: names.get(row[side], row[side]) for side in ("a", "b")}

    def __repr__(self) -> str:
        return f"{self.title}\n\n{render_terminal_table(self._content.shown_rows)}"

    def _repr_html_(self) -> str:
        rows = self._content.shown_rows
        return _PAGE.render(
            title=self.title,
            counts=self._content.counts,
            notices=self._content.notices,
            tables=[summary_table(rows, name, _METRICS) for name in benchmarks_of(rows)],
            marks=MARKS,
        ) + "".join(self._pictures())

    def _pictures(self) -> Iterable[str]:
        for k, name in enumerate(benchmarks_of(self._content.shown_rows)):
            groups = [group for group in self._content.shown if group.benchmark == name]
            picture = curves_svg(groups, self.plot.styles, f"cl-accuracy{k}")
            yield f'<div style="max-width: 32em; background: {SURFACE}">{picture}</div>'


def _frame(rows: Iterable[tables.Row], columns: Sequence[str]) -> Any:
    """Return a data frame that has ``columns`` first, also without a row."""
    found = list(rows)
    more = dict.fromkeys(name for row in found for name in row if name not in columns)
    return pandas().DataFrame(found, columns=[*columns, *more])

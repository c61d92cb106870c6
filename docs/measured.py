"""Write measured numbers into README.md and the pages: ``python docs/measured.py``.

A table stands between ``<!-- measured: REPORT, BENCHMARK, METRIC... -->`` and ``<!-- end -->``. It
has mean and standard deviation over the runs of ``reports/published/REPORT``, a row for each
strategy, best first. ``for ROW, ROW`` after the metrics picks rows, in their order (``;`` between
names that have commas), and ``ROW = NAME`` shows one under another name; ``across`` turns the table
on its side. ``at W4A4, W2A2`` after the metrics gives each of them a column for each of these
widths, of the row whose label has that width as well; a row without one stands in all of them.

Between ``<!-- figures: PREFIX -->`` and ``<!-- end -->`` stand the figures of
``reports/published/performance`` whose names begin so; with several prefixes, a column for each and
a row for each ending.

After ``<!-- differences: REPORT, BENCHMARK, METRIC for ROW against ROW = NAME; ... -->`` stand the
differences of two rows, paired by seed and order, each with its 95 % interval.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.reports.analysis.cells import Cells, cell_of, cells_of
from cl_strategies.reports.analysis.grouping import Group, group_records
from cl_strategies.reports.analysis.labels import labels_of
from cl_strategies.reports.analysis.orders import final_by_order
from cl_strategies.reports.analysis.stream_costs import network_bytes, stored
from cl_strategies.reports.reading.other import read_other
from cl_strategies.results.metrics import METRICS, Metric
from cl_strategies.results.record import RunRecord
from cl_strategies.statistics import t_interval
from cl_strategies.statistics.cells import complete_pairs, matched

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "reports" / "published"
#: What a column of a table may have.
COLUMNS: Mapping[str, Metric] = {
    **METRICS,
    "growth": Metric(
        name="growth",
        title="Growth",
        unit="number",
        higher_is_better=False,
        meaning="What a run stores at the end beyond one network, relative to it.",
    ),
    "exemplars_per_class": Metric(
        name="exemplars_per_class",
        title="Exemplars of a class",
        unit="number",
        higher_is_better=None,
        meaning="Stored at the end, divided by the classes.",
    ),
    "box_area": Metric(
        name="box_area",
        title="Area of the boxes",
        unit="fraction",
        higher_is_better=None,
        meaning="Share of an image that its box covers, of those stored at the end.",
    ),
    "true_overlap": Metric(
        name="true_overlap",
        title="Overlap with the objects",
        unit="fraction",
        higher_is_better=True,
        meaning="Intersection over union with the true boxes, of those made last.",
    ),
    "cam_overlap": Metric(
        name="cam_overlap",
        title="Overlap with activation maps",
        unit="fraction",
        higher_is_better=None,
        meaning="Intersection over union with the boxes of activation maps, of those made last.",
    ),
}
#: Unit -> factor and format of a number.
_FORMS = {"fraction": (100, ".1f"), "bytes": (1, ",.0f")}
SITE = "https://github.com/cl-strategies/cl-strategies/blob/main/reports/published"


def pages() -> Iterator[Path]:
    """README.md and every page."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))


@cache
def groups(report: str) -> tuple[Group, ...]:
    """The strategies of a published report on each of its streams, by their short labels."""
    collection, _ = read_other(PUBLISHED / report)
    found = group_records(run.record for run in collection.runs)
    return tuple(labels_of(found).groups(found))


def rows_of(report: str, benchmark: str) -> dict[str, Group]:
    """The strategies of a published report on one stream, by their short labels.

    :raises UserError: if the report has no such stream.
    """
    here = {group.strategy: group for group in groups(report) if group.benchmark == benchmark}
    if not here:
        raise unknown_name("stream", benchmark, {group.benchmark for group in groups(report)})
    return here


def table(asked: str) -> str:
    """The table that a mark asks for.

    :raises UserError: for a report, stream, metric or row that is not there.
    """
    what, rows = _asked(asked.removesuffix(" across"))
    what, *at = re.split(r"\sat\s", what, maxsplit=1)
    report, benchmark, *metrics = (word.strip() for word in what.split(","))
    here = rows_of(report, benchmark)
    if not metrics:
        raise UserError(f"{asked}: name a metric after the stream")
    columns = [(metric, width.strip()) for metric in metrics for width in "".join(at).split(",")]
    titles = [", ".join(filter(None, (_column(m).title.lower(), width))) for m, width in columns]
    apart = ";" if ";" in rows else ","
    names = [name.strip() for name in rows.split(apart)] if rows else _ranked(here, metrics[0])
    lines, shown = [["strategy", *titles]], []
    for name in names:
        name, _, text = name.partition(" = ")
        found = [_row(here, name, width) for _, width in columns]
        shown += found
        values = (
            _cell(_values(row, metric, here.values()), metric)
            for row, (metric, _) in zip(found, columns, strict=True)
        )
        lines.append([text or name, *values])
    if asked.endswith(" across"):
        lines = [list(line) for line in zip(*lines, strict=True)]
    lines.insert(1, ["---", *(["---:"] * (len(lines[0]) - 1))])
    runs = sorted({len(row.finished) for row in shown})
    counted = " to ".join(map(str, dict.fromkeys((runs[0], runs[-1]))))
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    link = f"[report]({SITE}/{report}/report.md)"
    return f"{text}\n\nMean and standard deviation of {counted} runs; {link}.\n"


def _row(here: Mapping[str, Group], name: str, width: str = "") -> Group:
    """The row of this name and width, or else of this name."""
    for label, row in here.items():
        if width and sorted(label.split(", ")) == sorted([*name.split(", "), width]):
            return row
    if name not in here:
        raise unknown_name("row", ", ".join(filter(None, (name, width))), here)
    return here[name]


def _column(metric: str) -> Metric:
    if metric not in COLUMNS:
        raise unknown_name("metric", metric, COLUMNS)
    return COLUMNS[metric]


def _asked(asked: str) -> tuple[str, str]:
    """What stands before ``for`` and behind it."""
    what, *rows = re.split(r"\sfor\s", asked, maxsplit=1)
    return what, "".join(rows)


def disparities(group: Group, here: Iterable[Group]) -> dict[Hashable, float]:
    """Average order disparity of each seed, over its orders."""
    by_seed: dict[Hashable, list[RunRecord]] = {}
    for record in group.finished:
        by_seed.setdefault(record.seed, []).append(record)
    return {
        seed: float(np.ptp(final_by_order(records), axis=0).mean())
        for seed, records in by_seed.items()
    }


def growths(group: Group, here: Iterable[Group]) -> dict[Hashable, float]:
    """What each run stores at the end beyond one network, relative to it.

    :param here: the groups on the same stream, one of which is a plain network.
    """
    one = network_bytes(list(here))
    found = ((cell_of(record), stored(record, one)) for record in group.finished)
    return {cell: sizes[-1] - 1 for cell, sizes in found if len(sizes)}


def exemplars(column: str) -> Callable[[Group, Iterable[Group]], dict[Hashable, float]]:
    """What the memory of each run has at the end in this column; for counts, of a class."""

    def at_the_end(group: Group, here: Iterable[Group]) -> dict[Hashable, float]:
        kept = {cell_of(run): run.exemplars for run in group.finished if column in run.exemplars}
        if column != "count":
            return {cell: float(memory[column][-1]) for cell, memory in kept.items()}
        return {cell: memory["count"][-1] / memory["classes"][-1] for cell, memory in kept.items()}

    return at_the_end


#: Columns that are no metrics of a run, from a group and the groups on the same stream.
TOGETHER: Mapping[str, Callable[[Group, Iterable[Group]], dict[Hashable, float]]] = {
    "average_order_disparity": disparities,
    "growth": growths,
    "exemplars_per_class": exemplars("count"),
    "box_area": exemplars("box_area"),
    "true_overlap": exemplars("true_overlap"),
    "cam_overlap": exemplars("cam_overlap"),
}


def cells_in(rows: Sequence[Group], metric: str, here: Iterable[Group]) -> Cells:
    """The scores of ``rows``, matched: of single runs, or of all orders with the same seed."""
    if metric not in TOGETHER:
        return cells_of(rows, metric)
    here = list(here)
    return Cells(scores=matched({row.strategy: TOGETHER[metric](row, here) for row in rows})[1])


def signed(value: float, form: str) -> str:
    """A number with its sign."""
    return f"{value:+{form}}".replace("-", "\N{MINUS SIGN}")


def differences(asked: str) -> str:
    """The paired differences that a mark asks for.

    :raises UserError: for a report, stream or row that is not there.
    """
    what, pairs = _asked(asked)
    report, benchmark, metric = (word.strip() for word in what.split(","))
    here = rows_of(report, benchmark)
    column = _column(metric)
    factor, form = _FORMS.get(column.unit, (1, ".2f"))
    lines = ["| | difference | 95 % interval |", "|---|---:|---:|"]
    counts = set()
    for pair in pairs.split(";"):
        names, _, text = pair.partition(" = ")
        first, second = (_row(here, name.strip()) for name in names.split(" against "))
        cells = cells_in([first, second], metric, here.values())
        a, b, _ = complete_pairs(
            *(cells.scores[row.strategy] for row in (first, second)), cells.units
        )
        counts.add(len(a))
        mean, low, high = (
            signed(float(x) * factor, form) for x in ((a - b).mean(), *t_interval(a - b, 0.95))
        )
        lines.append(f"| {text.strip() or names.strip()} | {mean} | {low} to {high} |")
    link = f"[report]({SITE}/{report}/report.md)"
    counted = " to ".join(map(str, sorted(counts)))
    return (
        "\n".join(lines) + f"\n\nOf {column.title.lower()}, over {counted} pairs of runs; {link}.\n"
    )


def _ranked(here: Mapping[str, Group], metric: str) -> list[str]:
    sign = 1.0 if COLUMNS[metric].higher_is_better is False else -1.0
    means = {name: np.mean(_values(here[name], metric, here.values()) or 0) for name in here}
    return sorted(here, key=lambda name: sign * float(means[name]))


def _values(group: Group, metric: str, here: Iterable[Group]) -> list[float]:
    if metric in TOGETHER:
        found = [*TOGETHER[metric](group, here).values()]
    else:
        found = [one.metric(metric) for one in group.finished]
    return [x for x in found if x == x]


def _cell(values: Sequence[float], metric: str) -> str:
    if not values:
        return "\N{EN DASH}"
    scale, form = _FORMS.get(COLUMNS[metric].unit, (1, ".2f"))
    spread = f" ± {np.std(values, ddof=1) * scale:{form}}" if len(values) > 1 else ""
    mean = f"{np.mean(values) * scale:{form}}"
    return f"{mean.removeprefix('-') if float(mean.replace(',', '')) == 0 else mean}{spread}"


def figures(asked: str) -> str:
    """The figures of the performance report whose names begin with what a mark asks for.

    :raises UserError: if there is none.
    """
    made = json.loads((PUBLISHED / "performance" / "performance.json").read_text("utf-8"))
    prefixes = [prefix.strip() for prefix in asked.split(",")]
    found = [
        {
            row["name"][len(prefix) :]: row
            for row in made["figures"]
            if row["name"].startswith(prefix)
        }
        for prefix in prefixes
    ]
    for prefix, column in zip(prefixes, found, strict=True):
        if not column:
            raise unknown_name("figure", prefix, {row["name"] for row in made["figures"]})
    lines = _columns(prefixes, found) if len(found) > 1 else _figures(found[0].values())
    link = f"[report]({SITE}/performance/performance.md)"
    return "\n".join(lines) + f"\n\n{made['environment']['processor']}; {link}.\n"


def _figures(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    shown = ((row["title"], _amount(row), row["proof"]) for row in rows)
    lines = [f"| {title} | {amount} | {proof} |" for title, amount, proof in shown]
    return ["| figure | median | |", "| --- | ---: | --- |", *lines]


def _columns(
    prefixes: Sequence[str], found: Sequence[Mapping[str, Mapping[str, Any]]]
) -> list[str]:
    heads = [prefix.strip("-").rpartition("-")[2] for prefix in prefixes]
    lines = [
        f"| `{name}` | {' | '.join(_amount(column[name]) for column in found)} |"
        for name in found[0]
    ]
    return [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}", *lines]


def _amount(row: Mapping[str, Any]) -> str:
    unit = "" if row["unit"] == "x" else f" {row['unit']}"
    return f"{row['value']:.3g}{unit}"


def filled(text: str, names: Iterable[str], make: Callable[[str, str], str]) -> str:
    """Return ``text`` with what stands between ``<!-- NAME: ASKED -->``, or ``<!-- NAME -->``, and
    ``<!-- end -->`` made anew.

    :param names: of marks.
    :param make: from the name of a mark, and what it asks for, to what stands behind it.
    """
    marks = re.compile(
        rf"(<!-- ({'|'.join(names)})(?:: ([^>]*?))? -->\n).*?(<!-- end -->)", re.DOTALL
    )
    return marks.sub(lambda m: f"{m[1]}\n{make(m[2], m[3] or '')}\n{m[4]}", text)


def written(text: str) -> str:
    """``text`` with its tables made anew."""
    made = {"measured": table, "figures": figures, "differences": differences}
    return filled(text, made, lambda name, asked: made[name](asked))


def main() -> None:
    for page in pages():
        before = page.read_text("utf-8")
        if (after := written(before)) != before:
            page.write_text(after, "utf-8")
            print(f"wrote {page}")


if __name__ == "__main__":
    main()

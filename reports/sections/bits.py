"""Bit-widths: what accuracy is left, and how many bytes the weights take."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.reports.analysis.labels import Labels
from cl_strategies.reports.analysis.summary_table import rows_of
from cl_strategies.reports.analysis.tables import SummaryRow
from cl_strategies.reports.plots.alternatives import LONGEST, alternative
from cl_strategies.reports.plots.bits import Point, bits_svg
from cl_strategies.reports.plots.figures import Figure
from cl_strategies.reports.plots.palette import assign_styles
from cl_strategies.results.export import Exported
from cl_strategies.results.formatting import MISSING, show, show_with_spread

HEADINGS = (
    "Weights (bits)",
    "Activations (bits)",
    "Bits times parameters",
    "Packed model",
    "Share of full precision",
    "Average accuracy",
    "Forgetting",
)
#: More of them where networks were exported and checked (``cl-strategies export``).
EXPORT_HEADINGS = ("Exported file", "Accuracy of the file", "Equal predictions", "Float time")
_METRICS = ("weight_bytes", "packed_bytes", "parameter_bytes", "average_accuracy", "forgetting")


@dataclass(frozen=True, kw_only=True)
class BitTable:
    """One benchmark on which something was quantized.

    :param benchmark: its label.
    :param headings: :data:`HEADINGS`, and :data:`EXPORT_HEADINGS` where something was exported.
    :param lines: label of the strategy, and a text for each heading.
    :param figure: accuracy against bit-width, ``None`` if there was only one width.
    """

    benchmark: str
    headings: tuple[str, ...]
    lines: tuple[tuple[str, tuple[str, ...]], ...]
    figure: Figure | None

    @property
    def exported(self) -> bool:
        """Whether some network was exported."""
        return self.headings != HEADINGS


def bit_tables(
    groups: Sequence[Group],
    rows: Sequence[SummaryRow],
    labels: Labels | None = None,
    facets: Container[str] = (),
    exports: Mapping[str, Exported] | None = None,
) -> list[BitTable]:
    """Return a table for each benchmark with a quantized run, strategies of fewest bits last.

    :param labels: short labels for the lines.
    :param facets: benchmarks whose facets show the accuracies by bits: they have no figure.
    :param exports: what was measured of exported networks, by the hash of the run.
    """
    tables = []
    labels = labels or Labels({})
    for k, benchmark in enumerate(sorted({group.benchmark for group in groups})):
        here = [group for group in groups if group.benchmark == benchmark and group.finished]
        if all(group.precision.full for group in here):
            continue
        here.sort(key=lambda group: (-group.precision.weight_bits, group.strategy))
        found = {
            metric: {row.strategy: row for row in rows_of(rows, benchmark, metric) if row.n}
            for metric in _METRICS
        }
        checked = [_exports_of(group, exports or {}) for group in here]
        some = any(checked)
        lines = tuple(
            (
                labels.of(group),
                _cells(group, [found[metric].get(group.strategy) for metric in found])
                + (_export_cells(of_files) if some else ()),
            )
            for group, of_files in zip(here, checked, strict=True)
        )
        headings = HEADINGS + (EXPORT_HEADINGS if some else ())
        figure = None
        if benchmark not in facets:
            figure = _figure(here, found["average_accuracy"], benchmark, f"bits{k}")
        table = BitTable(benchmark=benchmark, headings=headings, lines=lines, figure=figure)
        tables.append(table)
    return tables


def _cells(group: Group, rows: Sequence[SummaryRow | None]) -> tuple[str, ...]:
    weights, packed, parameters, accuracy, forgetting = rows
    full = group.precision.full
    size = parameters if full else packed
    share = size.mean / parameters.mean if size and parameters and parameters.mean else None
    return (
        str(group.precision.weight_bits),
        str(group.precision.activation_bits),
        _mean(None if full else weights, "bytes"),
        _mean(size, "bytes"),
        MISSING if share is None else show(share, "fraction"),
        _spread(accuracy),
        _spread(forgetting),
    )


def _exports_of(group: Group, exports: Mapping[str, Exported]) -> list[Exported]:
    found = (exports.get(record.config_hash) for record in group.finished)
    return [export for export in found if export is not None]


def _export_cells(found: Sequence[Exported]) -> tuple[str, ...]:
    """Means over those runs of a group that were exported."""
    if not found:
        return (MISSING,) * len(EXPORT_HEADINGS)
    ratios = [export.speedups["float"] for export in found if "float" in export.speedups]
    return (
        show(fmean(export.bytes for export in found), "bytes"),
        show(fmean(export.accuracy for export in found), "fraction"),
        show(fmean(export.agreement for export in found), "fraction"),
        f"{fmean(ratios):.2f} times" if ratios else MISSING,
    )


def _mean(row: SummaryRow | None, unit: str) -> str:
    return MISSING if row is None else show(row.mean, unit)


def _spread(row: SummaryRow | None) -> str:
    return MISSING if row is None else show_with_spread(row.mean, row.std, "fraction")


def _figure(
    groups: Sequence[Group], accuracies: dict[str, SummaryRow], benchmark: str, key: str
) -> Figure | None:
    series: dict[str, list[Point]] = {}
    names = {}
    for group in groups:
        if group.strategy not in accuracies:
            continue
        row, bits = accuracies[group.strategy], group.precision.weight_bits
        label = _method(group)
        names[label] = group.records[0].strategy
        series.setdefault(label, []).append(
            Point(bits=None if group.precision.full else bits, mean=row.mean, std=row.std)
        )
    svg = bits_svg(series, assign_styles(names), key)
    if not svg:
        return None
    words = ", ".join(
        f"{label} {', '.join(_said(point) for point in points)}" for label, points in series.items()
    )
    start = f"Line chart of average accuracy against the bits of a weight on {benchmark}"
    alt = f"{start}: {words}."
    if len(alt) > LONGEST:
        ends = {label: max(point.mean for point in points) for label, points in series.items()}
        alt = alternative(
            f"{start}; the best width of each", ends, lambda value: show(value, "fraction")
        )
    return Figure(svg=svg, alt=alt, caption=benchmark)


def _method(group: Group) -> str:
    """Return the label without its bits; those of activations stay where they are others."""
    precision = group.precision
    if precision.full:
        return group.strategy
    text = group.strategy.replace(precision.text, precision.quantizer, 1)
    same = precision.weight_bits == precision.activation_bits
    return " ".join([*text.split(), *([] if same else [f"(A{precision.activation_bits})"])])


def _said(point: Point) -> str:
    where = "at full precision" if point.bits is None else f"at {point.bits} bits"
    return f"{show(point.mean, 'fraction')} {where}"

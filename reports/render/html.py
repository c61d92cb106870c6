"""The self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

import cl_strategies
from cl_strategies.plugins.exemplars.replay.contact_sheet import data_uri
from cl_strategies.reports.analysis.configuration import (
    full_configuration,
    hyperparameters,
    shared_settings,
)
from cl_strategies.reports.analysis.summary_table import MARKS, benchmarks_of, summary_table
from cl_strategies.reports.comparison import components, effects, rates
from cl_strategies.reports.derived.keys import columns, presentation
from cl_strategies.reports.plots import figures
from cl_strategies.reports.plots.factors.figures import facet_figures
from cl_strategies.reports.plots.figures_stream import order_figures, stream_figures
from cl_strategies.reports.plots.matrices import scale_svg
from cl_strategies.reports.plots.pairs.figures import forest_figures, rank_figure
from cl_strategies.reports.plots.palette import ROLES, Style, assign_styles
from cl_strategies.reports.plots.stability import stability_figures
from cl_strategies.reports.plots.svg import described
from cl_strategies.reports.render.folding import Folding
from cl_strategies.reports.sections import changes, exemplars, growth, pair_rows
from cl_strategies.reports.sections.content import Content
from cl_strategies.reports.sections.factors import rates_text
from cl_strategies.results.formatting import show, show_with_spread
from cl_strategies.results.metrics import REFERENCE_STRATEGIES
from cl_strategies.results.published import WARNING

MOST_ROWS, MOST_CONFIGURATIONS = 600, 60
"""Rows of the long tables, and configurations; a page stays below a megabyte or so."""


def html_text(content: Content, *, pages: Mapping[str, str] | None = None, up: str = "") -> str:
    """Return a page as text; everything that comes from runs is escaped.

    :param pages: benchmark -> address of its own page, on an index, which has the tables and says
        what the numbers say, and leaves the rest to them.
    :param up: address of the index, on such a page.
    """
    collection, groups, rows = content.collection, content.shown, content.shown_rows
    drawn = [] if pages else groups
    plain = [group for group in drawn if group.benchmark not in content.layouts]
    plain_rows = [row for row in rows if row.benchmark not in content.layouts if not pages]
    names = {group.strategy: group.records[0].strategy for group in groups}
    styles = assign_styles(names)
    benchmarks = benchmarks_of(rows)
    disparities = content.disparities
    matrices = figures.matrix_figures(drawn, rows)
    return _template().render(
        title=content.title,
        pages=pages or {},
        up=up,
        version=cl_strategies.__version__,
        css=Markup(_asset("report.css")),
        script=Markup(_asset("report.js")),
        variables=Markup(_variables(styles)),
        counts=content.counts,
        findings=content.findings,
        notices=content.notices,
        tables=[summary_table(rows, name) for name in benchmarks],
        rows=[row for row in content.rows if row.n],
        runs=collection.runs,
        curves=figures.curve_figures(plain, plain_rows, styles),
        spreads=figures.spread_figures(plain, plain_rows, styles),
        matrices=matrices,
        scale=scale_svg("scale") if matrices else "",
        forgetting=figures.forgetting_figures(plain_rows, styles),
        stability=stability_figures(plain, styles),
        costs=figures.cost_figures(plain_rows, styles),
        streams=stream_figures(plain, styles),
        growths=[
            (table, growth.growth_figure(table, styles, f"grown{k}"))
            for k, table in enumerate([] if pages else content.growths)
        ],
        growth=growth,
        orders=list(zip(disparities, order_figures(disparities, styles), strict=True)),
        widths=content.widths,
        traces=content.traces,
        memories=content.memories,
        memory_headings=exemplars.HEADINGS,
        comparisons=list(
            zip(content.comparisons, forest_figures(content.comparisons), strict=True)
        ),
        factors=[
            (section, facet_figures(layout, groups, rows, section.differences, k))
            for k, (section, layout) in enumerate(
                zip(content.factors, content.layouts.values(), strict=True)
            )
        ],
        effect_headings=effects.HEADINGS,
        rate_headings=rates.HEADINGS,
        rates_text=rates_text,
        labels=content.labels.changed,
        folding=Folding(),
        pair_headings=pair_rows.HEADINGS,
        pair_cells=pair_rows.cells,
        pair_text=pair_rows.explanation,
        against=content.against,
        change_lines=changes.lines(content.against) if content.against else [],
        change_headings=changes.HEADINGS,
        change_cells=changes.cells,
        wins=content.wins,
        ranks=rank_figure(content.ranks),
        splits=content.splits,
        split_headings=components.HEADINGS,
        published=collection.published,
        published_warning=WARNING,
        failed=[run for run in collection.runs if not run.record.finished],
        unfinished=collection.unfinished,
        problems=collection.problems,
        hyperparameters=hyperparameters(groups),
        shared=shared_settings(groups),
        configurations=[(group, full_configuration(group)) for group in drawn]
        if len(drawn) <= MOST_CONFIGURATIONS
        else [],
        most_rows=MOST_ROWS,
        many=content.crowded,
        environment=content.environments,
        metrics=[
            presentation(name) for name in columns() if any(row.metric == name for row in rows)
        ],
        references=sorted(set(names.values()) & REFERENCE_STRATEGIES),
        styles=styles,
        marks=MARKS,
    )


def _variables(styles: Mapping[str, Style]) -> str:
    """CSS variables of all colors, for light and for dark screens."""
    colors = dict(ROLES)
    for style in styles.values():
        colors[style.variable] = (style.light, style.dark)
    light = " ".join(f"--{name}: {pair[0]};" for name, pair in colors.items())
    dark = " ".join(f"--{name}: {pair[1]};" for name, pair in colors.items())
    return (
        f":root {{ {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    )


def _described(svg: str, title: str, description: str) -> Markup:
    return Markup(described(svg, title, description))  # matplotlib escapes the text inside


def _asset(name: str) -> str:
    return files("cl_strategies.reports").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["described"] = _described
    environment.filters["describe"] = presentation
    environment.filters["minus"] = lambda text: text.replace(" - ", " \u2212 ")
    environment.filters["data_uri"] = data_uri
    environment.globals["show"] = show
    environment.globals["show_with_spread"] = show_with_spread
    return environment.from_string(_asset("report.html.j2"))

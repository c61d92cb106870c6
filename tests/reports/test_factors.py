"""Factors of a suite: found in the configurations, named shortly, drawn as small multiples."""

from __future__ import annotations

import dataclasses
import re

import pytest

from cl_strategies.reports import write_report
from cl_strategies.reports.analysis.factors import bytes_text, levels_of
from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.labels import labels_of
from cl_strategies.reports.analysis.layout import layout_of, layouts_of
from cl_strategies.reports.analysis.tables import summarize
from cl_strategies.reports.comparison.references import differences, interaction, reference_of
from cl_strategies.reports.plots.factors.figures import facet_figures
from cl_strategies.reports.sections.factors import factor_sections

BUDGETS = (2**18, 2**19, 2**20)


def score(codec: str, budget: int, seed: int) -> float:
    gain = {"raw": 0.0, "jpeg": 0.1, "webp": 0.2 * BUDGETS.index(budget)}[codec]
    return 0.3 + gain + 0.005 * seed


@pytest.fixture
def suite(make_record):
    records = [
        make_record(
            strategy,
            seed=seed,
            options={"codec": codec, "mem_bytes": budget, **more},
            metrics={"average_accuracy": score(codec, budget, seed)},
        )
        for strategy, more in (
            ("cim", {"host": "foster", "join": "concat"}),
            ("cim", {"host": "replay", "join": "batch"}),
            ("foster", {}),
        )
        for codec in ("raw", "jpeg", "webp")
        for budget in BUDGETS
        for seed in range(3)
    ]
    return [*records, make_record("joint"), make_record("naive")]


def test_levels_are_what_variants_differ_in_and_nothing_that_follows_from_it(suite) -> None:
    found = levels_of(group_records(suite))
    label = "cim (codec=jpeg, host=foster, join=concat, mem_bytes=262144)"
    assert [(level.key, level.text) for level in found[label]] == [
        ("strategy.codec", "jpeg"),
        ("strategy.host", "foster"),
        ("strategy.mem_bytes", "256 KiB"),
    ]
    assert found["joint"] == found["naive"] == ()


def test_a_metric_that_was_never_measured_is_not_drawn(suite) -> None:
    for record in suite:
        record.metrics["forgetting"] = None
    groups = group_records(suite)
    groups = labels_of(groups).groups(groups)
    (layout,) = layouts_of(groups).values()
    figures = facet_figures(layout, groups, summarize(groups), {}, 0)
    assert [figure.alt for figure in figures if "accuracy" in figure.alt]
    assert not [figure.alt for figure in figures if "orgetting" in figure.alt]


def test_labels_are_short_and_unique(suite) -> None:
    groups = group_records(suite)
    labels = labels_of(groups)
    short = {labels.of(group) for group in groups}
    assert len(short) == len(groups)
    assert {"CIM, FOSTER, jpeg, 1 MiB", "FOSTER, webp, 256 KiB", "joint", "naive"} <= short
    assert ("FOSTER, webp, 256 KiB", "foster (codec=webp, mem_bytes=262144)") in labels.changed


def test_labels_that_would_be_the_same_stay_long(make_record) -> None:
    values = ([1, 2], "[1, 2]")  # different values that read alike
    groups = group_records(make_record("a", options={"o": value}) for value in values)
    labels = labels_of(groups)
    assert len({labels.of(group) for group in groups}) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [(2**20, "1 MiB"), (2**18, "256 KiB"), (1536, "1.5 KiB"), (10, "10 B"), (2**30, "1 GiB")],
)
def test_bytes_have_no_more_digits_than_they_need(value: int, text: str) -> None:
    assert bytes_text(value) == text


def test_numbers_and_truth_values_are_named_by_their_key(make_record) -> None:
    groups = group_records(make_record("a", options={"o": value}) for value in (0.5, True, False))
    labels = labels_of(groups)
    assert {labels.of(group) for group in groups} == {"a, o 0.5", "a, o", "a, no o"}


def test_a_quantizer_is_named_wherever_there_are_several(make_record) -> None:
    def run(strategy, quantizer, bits):
        record = make_record(strategy)
        widths = {"quantizer": quantizer, "weight_bits": bits, "activation_bits": bits}
        return dataclasses.replace(record, config={**record.config, "quantization": widths})

    records = [run("naive", quantizer, bits) for quantizer in ("lsq", "apot") for bits in (2, 4)]
    records += [run("ewc", "lsq", bits) for bits in (2, 4)]
    groups = group_records(records)
    labels = labels_of(groups)
    short = {labels.of(group) for group in groups}
    assert {"EWC, lsq, W2A2", "naive, apot, W4A4"} <= short


def test_panels_lines_and_axis(suite) -> None:
    groups = group_records(suite)
    layout = layout_of(labels_of(groups).groups(groups), "synthetic-stream")
    assert layout.panels == ("CIM, FOSTER", "CIM, replay", "FOSTER")
    assert layout.series == ("jpeg", "raw", "webp")
    assert (layout.x, layout.axis) == ("strategy.mem_bytes", "bytes of the memory")
    assert layout.ticks == {2.0**18: "256 KiB", 2.0**19: "512 KiB", 2.0**20: "1 MiB"}
    assert layout.references == ("joint", "naive")
    assert layout.lines("FOSTER")["jpeg"] == [
        "FOSTER, jpeg, 256 KiB",
        "FOSTER, jpeg, 512 KiB",
        "FOSTER, jpeg, 1 MiB",
    ]


def test_a_few_variants_share_one_chart(make_record) -> None:
    records = [make_record("a", options={"strength": s}) for s in (1, 2, 3)]
    assert layouts_of(group_records(records)) == {}


def test_strategies_with_one_line_each_share_a_panel(make_record) -> None:
    records = [
        make_record(name, options={"strength": s}) for name in ("a", "b", "c") for s in (1, 2, 3)
    ]
    layout = layout_of(group_records(records), "synthetic-stream")
    assert layout.panels == ("one line each",)
    assert layout.series == ("a", "b", "c")
    assert layout.x == "strategy.strength"


def test_without_a_number_there_is_no_axis(make_record) -> None:
    records = [
        make_record("a", options={"codec": codec, "host": host})
        for codec in ("raw", "jpeg", "webp", "png")
        for host in ("x", "y")
    ]
    layout = layout_of(group_records(records), "synthetic-stream")
    assert (layout.x, layout.ticks) == ("", {})
    assert layout.panels == ("a, x", "a, y")


def test_differences_are_paired_with_the_plain_level(suite) -> None:
    groups = group_records(suite)
    groups = labels_of(groups).groups(groups)
    layout = layout_of(groups, "synthetic-stream")
    assert reference_of(layout.lines("FOSTER")) == "raw"
    found = differences(layout, groups)["FOSTER"]
    assert set(found) == {"jpeg", "webp"}
    assert [d.mean for d in found["jpeg"]] == pytest.approx([0.1] * 3)
    assert [d.mean for d in found["webp"]] == pytest.approx([0.0, 0.2, 0.4])
    assert interaction(layout, "FOSTER", found) == (
        "FOSTER: the gain of webp over raw grows from 0.0 points at 256 KiB to 40.0 at 1 MiB (95 % "
        "intervals 0.0 to 0.0 and 40.0 to 40.0)."
    )


def test_figures_have_a_panel_each_and_an_alternative_from_the_data(suite) -> None:
    groups = group_records(suite)
    labels = labels_of(groups)
    shown, rows = labels.groups(groups), labels.rows(summarize(groups))
    ((benchmark, layout),) = layouts_of(shown).items()
    (section,) = factor_sections({benchmark: layout}, shown)
    figures = facet_figures(layout, shown, rows, section.differences, 0)
    first = figures[0]
    assert [title for title, _ in first.panels] == ["CIM, FOSTER", "CIM, replay", "FOSTER"]
    for _, svg in first.panels:
        assert all(f">{name}</text>" in svg for name in ("jpeg", "raw", "webp", "joint", "naive"))
        assert "256 KiB" in svg
    scales = {tuple(re.findall(r">(\d+)</text>", svg)) for _, svg in first.panels}
    assert len(scales) == 1  # the same axis in all
    assert all(len(figure.alt) <= 300 for figure in figures)
    assert "most joint 73.2" in first.alt and "least FOSTER, webp, 256 KiB 30.5" in first.alt


def test_the_page_of_a_factorial_suite_is_small_and_names_its_variants(suite, write_runs) -> None:
    paths = write_report(write_runs(suite))
    text = paths.html.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert 'id="factors"' in text and "Names in summary.csv" in text
    assert "cim (codec=jpeg" in paths.csv.read_text() and "CIM, FOSTER" not in paths.csv.read_text()
    assert "CIM, FOSTER, jpeg, 1 MiB" in paths.markdown.read_text()

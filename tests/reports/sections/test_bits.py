"""Quantised runs in a report: labels, the plot against bit-width, the table of sizes."""

from __future__ import annotations

import dataclasses
import re

import pytest

from cl_strategies.reports import write_report
from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.precision import Precision, precision_of
from cl_strategies.reports.analysis.tables import summarize
from cl_strategies.reports.sections.bits import HEADINGS, bit_tables


@pytest.fixture
def quantised(make_record):
    """A record of a run at so many bits; made up like all records here."""

    def make(strategy: str, bits: int, accuracy: float, quantizer: str = "", **more):
        widths = {"weight_bits": bits, "activation_bits": bits}
        sizes = {"weight_bytes": 100.0 * bits, "packed_bytes": 128.0 * bits}
        record = make_record(
            strategy,
            options={} if quantizer else widths,
            metrics={"average_accuracy": accuracy, **sizes},
            **more,
        )
        table = {"quantization": {"quantizer": quantizer, **widths}} if quantizer else {}
        return dataclasses.replace(record, config={**record.config, **table})

    return make


@pytest.fixture
def records(make_record, quantised):
    return [
        make_record("naive", metrics={"average_accuracy": 0.9}),
        *(quantised("naive", bits, 0.1 * bits, "lsq", seed=s) for bits in (2, 4) for s in (0, 1)),
        *(quantised("lifequant", bits, 0.15 * bits) for bits in (2, 4)),
    ]


def test_the_precision_is_read_from_the_configuration():
    table = {"quantizer": "lsq", "weight_bits": 2, "activation_bits": 4}
    assert precision_of({"quantization": table, "strategy": {}}).text == "lsq W2A4"
    assert precision_of({"strategy": {"weight_bits": 3, "activation_bits": 3}}).text == "W3A3"
    assert precision_of({"strategy": {"c": 1.0}}) == Precision() and Precision().full
    assert precision_of({"strategy": {}, "quantization": {"weight_bits": "x"}}).full


def test_repetitions_are_grouped_by_quantiser_and_bits(records):
    labels = {group.strategy: len(group.records) for group in group_records(records)}
    assert labels == {
        **{"naive FP32": 1, "naive lsq W2A2": 2, "naive lsq W4A4": 2},
        **{"lifequant W2A2": 1, "lifequant W4A4": 1},
    }


def test_one_precision_alone_is_not_in_the_label(quantised):
    (group,) = group_records([quantised("ewc", 4, 0.5, "lsq"), quantised("ewc", 4, 0.5, "lsq")])
    assert group.strategy == "ewc"


def test_other_options_are_named_within_a_precision_only(quantised):
    made = [quantised("ewc", bits, 0.5, "lsq") for bits in (2, 4)]
    other = dataclasses.replace(
        made[0], config={**made[0].config, "train": {"epochs": 1, "lr": 0.5}}
    )
    labels = [group.strategy for group in group_records([*made, other])]
    assert labels == [
        *("ewc lsq W2A2 (train.lr=0.5)", "ewc lsq W2A2 (train.lr=unset)"),
        "ewc lsq W4A4",
    ]


def test_the_table_has_bits_sizes_and_accuracy(records):
    groups = group_records(records)
    (table,) = bit_tables(groups, summarize(groups))
    lines = {name: dict(zip(HEADINGS, cells, strict=True)) for name, cells in table.lines}
    assert next(iter(lines)) == "naive FP32" and lines["naive FP32"]["Weights (bits)"] == "32"
    line = lines["naive lsq W4A4"]
    assert (line["Weights (bits)"], line["Activations (bits)"]) == ("4", "4")
    assert line["Bits times parameters"] == "400\u00a0B" and line["Packed model"] == "512\u00a0B"
    assert line["Share of full precision"] == "12.5\u00a0%"  # 512 of 4096 bytes
    assert line["Average accuracy"].startswith("40.0")


def test_the_figure_has_a_line_for_each_method_and_one_for_full_precision(records):
    groups = group_records(records)
    (table,) = bit_tables(groups, summarize(groups))
    assert table.figure is not None
    said = table.figure.alt.replace("\u00a0", " ")
    assert "naive FP32 90.0 % at full precision" in said
    assert "naive lsq 40.0 % at 4 bits, 20.0 % at 2 bits" in said
    assert "lifequant 60.0 % at 4 bits, 30.0 % at 2 bits" in said
    shown = re.findall(r">(2|4|naive lsq|lifequant|naive FP32)<", table.figure.svg)
    assert set(shown) == {"2", "4", "naive lsq", "lifequant", "naive FP32"}


def test_one_width_makes_a_table_and_no_figure(quantised):
    groups = group_records([quantised("naive", 4, 0.5, "lsq"), quantised("ewc", 4, 0.6, "lsq")])
    (table,) = bit_tables(groups, summarize(groups))
    assert table.figure is None and len(table.lines) == 2


def test_a_report_without_quantised_runs_has_no_such_section(make_record, write_runs):
    paths = write_report(write_runs([make_record("naive"), make_record("ewc")]))
    assert 'id="bits"' not in paths.html.read_text(encoding="utf-8")
    assert "Bit-widths" not in paths.markdown.read_text(encoding="utf-8")


def test_page_and_markdown_have_the_section(records, write_runs):
    paths = write_report(write_runs(records))
    page = paths.html.read_text(encoding="utf-8")
    assert page.count('id="bits"') == 1 and "Packed model" in page
    assert "quantization.quantizer" in page
    text = paths.markdown.read_text(encoding="utf-8")
    assert "## Bit-widths on synthetic-stream" in text and "naive lsq W2A2" in text

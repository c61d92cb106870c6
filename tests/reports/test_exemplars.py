"""Memories in bytes in a report: the table, curves over budgets and tasks, pictures."""

from __future__ import annotations

import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.replay.contact_sheet import data_uri, sheet_png
from cl_strategies.plugins.masking.exemplar_pictures import StoredPicture
from cl_strategies.reports import write_report
from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.tables import summarize
from cl_strategies.reports.reading.collection import collect
from cl_strategies.reports.sections.exemplars import (
    HEADINGS,
    compression_curve,
    exemplar_tables,
    method_of,
)
from cl_strategies.results.formatting import MISSING
from cl_strategies.results.record import RunRecord


@pytest.fixture
def stored(make_record):
    """A record of a run with a memory; made up like all records here."""

    def make(codec: str, budget: int, accuracy: float, share: float, seed: int = 0) -> RunRecord:
        record = make_record(
            "compressed-replay",
            seed=seed,
            options={"codec": codec, "mem_bytes": budget},
            metrics={"average_accuracy": accuracy},
        )
        raw = [budget / share / 2, budget / share, budget / share]
        numbers = {
            "count": [10, 20, 30],
            "bytes": [budget / 2, budget, budget],
            "raw_bytes": raw,
            "classes": [2, 4, 6],
        }
        return dataclasses.replace(record, exemplars=numbers)

    return make


@pytest.fixture
def records(make_record, stored):
    return [
        make_record("naive"),
        *(stored("raw", n, 0.3, 1.0, seed) for n in (2048, 4096) for seed in (0, 1)),
        *(stored("jpeg", n, 0.6, 0.25) for n in (2048, 4096)),
    ]


def table_of(records, tmp_path):
    groups = group_records(records)
    (table,) = exemplar_tables(collect(tmp_path), groups, summarize(groups))
    return table


def test_the_table_counts_exemplars_bytes_and_the_share_of_raw(records, write_runs):
    table = table_of(records, write_runs(records))
    lines = {name: dict(zip(HEADINGS, cells, strict=True)) for name, cells in table.lines}
    assert len(lines) == 4  # naive has no such memory
    line = lines["compressed-replay (codec=jpeg, mem_bytes=2048)"]
    assert (line["Budget"], line["Used"]) == ("2.00\u00a0KiB", "2.00\u00a0KiB")
    assert (line["Exemplars"], line["Per class"], line["Bytes each"]) == ("30", "5.0", "68\u00a0B")
    assert line["Share of raw"] == "25.0\u00a0%" and line["Last accuracy"].startswith("60.0")


def test_boxes_are_in_the_table_and_are_read_again(make_record, stored, write_runs):
    record = stored("two-resolution", 2048, 0.5, 0.5)
    boxes = {
        "box_area": [0.5, 0.4, 0.25],
        "cam_overlap": [0.9, 0.8, 0.96],
        "true_overlap": [0.5] * 3,
    }
    record = dataclasses.replace(record, exemplars={**record.exemplars, **boxes})
    folder = write_runs([record, stored("jpeg", 2048, 0.6, 0.25)])
    read = [run.record for run in collect(folder).runs]
    table = table_of(read, folder)
    lines = {name: dict(zip(HEADINGS, cells, strict=True)) for name, cells in table.lines}
    found = lines["compressed-replay (codec=two-resolution)"]
    assert (found["Box area"], found["Overlap with CAM"]) == ("25.0\u00a0%", "96.0\u00a0%")
    assert found["Overlap with true box"] == "50.0\u00a0%"
    plain = lines["compressed-replay (codec=jpeg)"]
    assert plain["Box area"] == plain["Overlap with CAM"] == MISSING


def test_a_share_of_boxes_above_one_is_refused(stored):
    record = stored("two-resolution", 2048, 0.5, 0.5)
    wrong = {**record.exemplars, "box_area": [0.5, 1.5, 0.5]}
    with pytest.raises(UserError, match="box_area"):
        RunRecord.from_dict(dataclasses.replace(record, exemplars=wrong).to_dict(), source="r")


def test_budgets_of_one_method_are_one_curve(records, write_runs):
    table = table_of(records, write_runs(records))
    assert [figure.caption for figure in table.figures] == [
        "Accuracy after the last task against bytes",
        "Average incremental accuracy against bytes",
        "Compression over the tasks, at 4.00\u00a0KiB",
    ]
    said = table.figures[0].alt.replace("\u00a0", " ")
    assert "compressed-replay jpeg 60.0 % at 2.00 KiB, 60.0 % at 4.00 KiB" in said
    assert {method_of(group) for group in group_records(records[1:])} == {
        "compressed-replay raw",
        "compressed-replay jpeg",
    }


def test_one_budget_has_no_curve_over_budgets(stored, write_runs):
    records = [stored("raw", 2048, 0.3, 1.0), stored("jpeg", 2048, 0.3, 0.5)]
    table = table_of(records, write_runs(records))
    assert [figure.caption[:11] for figure in table.figures] == ["Compression"]


def test_compression_is_the_mean_share_after_each_task(stored):
    (group,) = group_records(
        [stored("jpeg", 2048, 0.5, share, seed) for seed, share in [(0, 0.2), (1, 0.4)]]
    )
    np.testing.assert_allclose(compression_curve(group), [0.3, 0.3, 0.3])


def test_records_with_and_without_exemplars_are_read_again(records, write_runs):
    read = [run.record for run in collect(write_runs(records)).runs]
    assert read[0].exemplars == {}
    assert {k: list(v) for k, v in read[1].exemplars.items()} == records[1].exemplars


def test_pictures_are_shown_and_damaged_ones_named(records, write_runs):
    folder = write_runs(records)
    sheet = sheet_png([StoredPicture(3, np.zeros((8, 8, 3), np.uint8))])
    files = sorted((folder / "runs").iterdir())
    for run in files[1:]:
        (run / "exemplars.png").write_bytes(sheet)
    page = write_report(folder).html.read_text(encoding="utf-8")
    assert page.count('<img alt="Exemplars of') == 2  # the smallest budget of each method
    for run in files:
        (run / "exemplars.png").write_bytes(sheet[:60])
    paths = write_report(folder)
    assert '<img alt="Exemplars of' not in paths.html.read_text(encoding="utf-8")
    assert len(paths.problems) == len(files)
    assert all("is no picture that could be shown" in one.message for one in paths.problems)


def test_a_sheet_has_a_row_for_each_class_with_boxes_and_heat():
    grey = np.full((40, 20, 1), 100, np.uint8)
    heat = np.ones((40, 20), np.float32)
    pictures = [StoredPicture(label, grey, (0, 20, 0, 10), heat) for label in (7, 2, 2)]
    image = np.asarray(Image.open(io.BytesIO(sheet_png(pictures))).convert("RGB")).astype(int)
    yellow = (abs(image - (255, 210, 0)).sum(2) < 10).any(1)
    assert (np.diff(yellow.astype(int)) == 1).sum() == 2  # a row for 2 and one for 7
    plain = sheet_png([StoredPicture(picture.label, grey) for picture in pictures])
    assert Image.open(io.BytesIO(plain)).size[1] < len(image)
    assert sheet_png([]) == b""


def test_a_sheet_is_smaller_on_a_page_and_looks_the_same():
    photograph = load_sample_image("china.jpg")
    crops = [photograph[64 * k : 64 * k + 64, 200:264] for k in range(6)]
    sheet = sheet_png([StoredPicture(k, pixels) for k, pixels in enumerate(crops)])
    kind, data = data_uri(sheet).removeprefix("data:image/").split(";base64,")
    shown = base64.b64decode(data)
    assert kind == "webp" and 3 * len(shown) < len(sheet)
    both = [np.asarray(Image.open(io.BytesIO(f)).convert("RGB"), float) for f in (sheet, shown)]
    assert abs(both[0] - both[1]).mean() < 3
    assert data_uri(sheet[:50]).startswith("data:image/png")


def test_page_and_markdown_have_the_section_when_a_run_has_a_memory(records, write_runs):
    paths = write_report(write_runs(records))
    assert paths.html.read_text(encoding="utf-8").count('id="exemplars"') == 1
    assert "## Exemplars in bytes on synthetic-stream" in paths.markdown.read_text(encoding="utf-8")


def test_a_report_without_such_runs_has_no_such_section(make_record, write_runs):
    paths = write_report(write_runs([make_record("naive")]))
    assert 'id="exemplars"' not in paths.html.read_text(encoding="utf-8")
    assert "Exemplars in bytes" not in paths.markdown.read_text(encoding="utf-8")

"""A table of files and labels as a stream."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from cl_strategies.benchmarks import contract_violations, image_folder, image_table, load
from cl_strategies.benchmarks.readers.picture_tables import read_table
from cl_strategies.errors import DataMissingError, UserError


@pytest.fixture
def table(flowers, tmp_path):
    """Writes a CSV file of ``flowers`` from a line of names and a function of each file."""

    def write(names: str = "path,label", row: Any = None) -> Any:
        lines = [names]
        for file in sorted(flowers.rglob("*.png")):
            plain = f"{file.relative_to(flowers)},{file.parent.name}"
            lines.append(plain if row is None else row(file, plain))
        path = tmp_path / "flowers.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_a_table_is_the_folder_that_it_lists(flowers, table, digest):
    options = {"n_experiences": 2, "class_order": 3}
    listed = load("image-table", path=str(table()), images=str(flowers), **options)
    assert contract_violations(listed) == []
    assert listed.info.class_names == ("daisy", "rose", "tulip", "violet")
    assert digest(listed) == digest(image_folder(path=flowers, **options))


def test_splits_and_domains_are_columns(flowers, table):
    def row(file, plain):
        kind = "pale" if file.parent.name in ("daisy", "rose") else "bright"
        label = "left" if file.parent.name in ("daisy", "tulip") else "right"
        split = "val" if file.stem == "5" else "Train"
        return f"{file.relative_to(flowers)},{label},{split},{kind}"

    path = table("file,class,split,domain", row)
    benchmark = image_table(
        path=path, images=flowers, scenario="domain", domains=["pale", "bright"]
    )
    assert contract_violations(benchmark) == []
    assert [len(one.dataset) for one in benchmark.train_stream] == [10, 10]
    assert [len(one.dataset) for one in benchmark.test_stream] == [2, 2]
    assert benchmark.info.class_names == ("left", "right")
    named = {"label_column": "domain", "image_column": "file"}
    assert image_table(path=path, images=flowers, **named).info.class_names == ("bright", "pale")


def test_two_tables_and_numbers_as_labels(flowers, table, tmp_path):
    number = {"daisy": 9, "rose": 10, "tulip": 100, "violet": 2}
    path = table(row=lambda file, plain: f"{file},{number[file.parent.name]}")
    benchmark = image_table(path=path, test_path=path, images=flowers, n_experiences=2)
    assert benchmark.info.class_names == ("2", "9", "10", "100")
    assert len(benchmark.test_stream[0].dataset) == 12


@pytest.mark.parametrize(
    ("names", "line", "new", "message"),
    [
        (
            "path,label",
            3,
            "rose/none.png,rose",
            r"flowers\.csv, line 3 names .*none\.png, which is",
        ),
        ("path,label", 3, "../x.png,rose", r"line 3 names '\.\./x\.png', which is not below"),
        ("path,label", 4, "rose/1.png", r"line 4 has 1 values, and the first line names 2"),
        ("path,label", 5, "rose/1.png,", r"line 5 has the label '': give the name of its class"),
        ("path,label", 6, '"rose/1.png,rose', r"flowers\.csv, line .*: .*; mend the CSV file"),
        ("picture,label", 0, "", r"none of them called path or .* as image_column"),
        ("path,sort", 0, "", r"has the columns 'path', 'sort', .* as label_column"),
        ("path,path", 0, "", r"a name stands twice"),
    ],
)
def test_a_row_that_is_wrong_is_named_by_its_line(flowers, table, names, line, new, message):
    path = table(names)
    if line:
        lines = path.read_text().splitlines()
        lines[line - 1] = new
        path.write_text("\n".join(lines))
    with pytest.raises(UserError, match=message):
        image_table(path=path, images=flowers)


def test_a_table_is_cut_by_commas(table):
    path = table("path,label")
    path.write_text(path.read_text().replace(",", ";"))
    with pytest.raises(UserError, match=r"columns 'path;label', .* Columns are cut by commas"):
        image_table(path=path)


def test_a_folder_is_no_table(flowers):
    with pytest.raises(UserError, match="is a folder: .*, or use image-folder"):
        image_table(path=flowers)


def test_marks_that_are_wrong(flowers, table):
    def splits(*values):
        return table(
            "path,label,split",
            lambda file, plain: f"{plain},{values[int(file.stem) % len(values)]}",
        )

    for values, message in (
        (("train", "later"), r"line 3 has the split 'later': write train or test"),
        (("train", "val", "test"), r"rows for validation and rows for testing"),
        (("train",), r"has no test samples: mark some as test"),
    ):
        with pytest.raises(UserError, match=message):
            image_table(path=splits(*values), images=flowers)
    with pytest.raises(UserError, match=r"has no column 'kind': label_column must be one of"):
        image_table(path=table(), images=flowers, label_column="kind")
    with pytest.raises(UserError, match=r"has no column domain: give the name of the column"):
        image_table(path=table(), images=flowers, scenario="domain")
    mixed = table("path,label,split", lambda f, p: f"{p}s,test" if f.stem == "5" else f"{p},train")
    with pytest.raises(UserError, match=r"line 7: .*5\.png has the label 'daisys', which no"):
        image_table(path=mixed, images=flowers)
    (flowers.parent / "empty.csv").write_text("path,label\n")
    with pytest.raises(UserError, match="has no rows"):
        image_table(path=flowers.parent / "empty.csv")
    with pytest.raises(DataMissingError, match=r"none\.csv is not there"):
        image_table(path="none.csv")


def test_a_parquet_file_is_read_by_pyarrow_where_that_is_installed(tmp_path, monkeypatch):
    path = tmp_path / "flowers.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'cl-strategies\[parquet\]'"):
        read_table(path)
    columns = {"path": ["a.png"], "label": [None]}
    table = types.SimpleNamespace(to_pydict=lambda: columns)
    parquet = types.SimpleNamespace(read_table=lambda file: table)
    monkeypatch.setitem(sys.modules, "pyarrow", types.SimpleNamespace(parquet=parquet))
    assert read_table(path).columns == columns
    with pytest.raises(UserError, match=r"flowers\.parquet, row 0 has the label None"):
        image_table(path=path)

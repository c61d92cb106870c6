"""Published numbers are shown, labeled, and kept out of everything that was measured."""

import json

import pytest

from cl_strategies.errors import UserError
from cl_strategies.reports import write_report
from cl_strategies.results.formatting import MISSING
from cl_strategies.results.published import PublishedTable, read_published, write_published

pytestmark = pytest.mark.usefixtures("undrawn")

TABLE = {
    "setting": "Small <images>, 5 % of the data",
    "source": "Somebody 2024, Table 2",
    "benchmark": "permuted-digits",
    "metrics": ["average_accuracy", "max_order_disparity"],
    "values": {"single-task": ["45.13 ± 0.04", 1.96], "apd-fixed": [35.66, ""]},
    "note": "Other splits.",
}
HUGE = 1 << 20_000  # of more digits than Python prints


def table(**changes):
    return PublishedTable.from_dict({**TABLE, **changes}, "[[published]] of suite.toml")


def test_a_table_keeps_its_numbers_as_they_are_printed():
    lines = table().lines
    assert lines == [["single-task", "45.13 ± 0.04", "1.96"], ["apd-fixed", "35.66", MISSING]]
    assert table().headings == ["Average accuracy, %", "Max. order disparity, %"]
    assert PublishedTable.from_dict(table().to_dict(), "again") == table()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": []}, "did you mean metrics"),
        ({"setting": ""}, "setting is ''"),
        ({"source": 3}, "source is 3"),
        ({"metrics": "average_accuracy"}, "give a list of names of metrics"),
        ({"values": {}}, "values must be a table"),
        ({"values": {"wsn": [1.0]}}, "give 2 numbers"),
        ({"values": {"wsn": [1.0, True]}}, "holds True"),
        ({"values": {"wsn": [1.0, "about 3"]}}, "holds 'about 3'"),
        ({"values": {"wsn": [1.0, [3, 4]]}}, r"holds \[3, 4\]"),
        ({"values": {"<b>": [1.0, 2.0]}}, "is no name of a strategy"),
        ({"note": 1}, "note a text"),
        ({"values": {"wsn": [1.0, HUGE]}}, "holds a value of type int too large"),
        ({"values": {"wsn": [1.0, 10**400]}}, "holds 1000"),
        ({"values": {"wsn": [1.0, "9" * 400]}}, "holds '999"),
        ({"values": {"wsn": [HUGE]}}, "is a value of type list too large"),
        ({"values": {"wsn": HUGE}}, "is a value of type int too large"),
        ({"metrics": [HUGE]}, "metrics is a value of type list"),
        ({"setting": HUGE}, "setting is a value of type int"),
    ],
)
def test_a_wrong_table_is_explained(changes, message):
    with pytest.raises(UserError, match=message) as error:
        table(**changes)
    assert "[[published]] of suite.toml" in str(error.value)


def test_tables_are_kept_beside_the_runs(tmp_path):
    write_published(tmp_path, [])
    assert not list(tmp_path.iterdir())
    assert read_published(tmp_path) == ()
    write_published(tmp_path, [table()])
    assert read_published(tmp_path) == (table(),)


def test_tables_of_another_suite_in_the_folder_stay(tmp_path):
    write_published(tmp_path, [table(), table(benchmark="split-digits")])
    new, other = table(note="Corrected."), table(source="Somebody else 2025")
    write_published(tmp_path, [new, other])
    assert read_published(tmp_path) == (new, table(benchmark="split-digits"), other)
    write_published(tmp_path, [])
    assert len(read_published(tmp_path)) == 3


def test_a_damaged_file_is_replaced_by_the_tables_of_the_suite(tmp_path):
    (tmp_path / "published.json").write_text("{")
    write_published(tmp_path, [table()])
    assert read_published(tmp_path) == (table(),)


def test_a_report_shows_them_apart(write_runs, make_record, tmp_path):
    source = write_runs([make_record(), make_record(seed=1)])
    plain = write_report(source, tmp_path / "plain")
    write_published(source, [table()])
    paths = write_report(source, tmp_path / "with")
    assert paths.csv.read_text() == plain.csv.read_text()
    assert paths.table == plain.table
    markdown = paths.markdown.read_text()
    before, section = markdown.split("## Published elsewhere")
    assert "45.13" not in before and "apd-fixed" not in before
    assert "None of these numbers comes from the runs of this report" in section
    assert "| single-task | 45.13 ± 0.04 | 1.96 |" in section
    html = paths.html.read_text()
    assert "Small &lt;images&gt;, 5 % of the data" in html and "<images>" not in html
    assert html.index("45.13") > html.index('id="published"')
    assert json.loads(paths.json.read_text())["published_elsewhere"] == [table().to_dict()]
    assert "published_elsewhere" not in json.loads(plain.json.read_text())


@pytest.mark.parametrize("content", ["{", "[]", '{"tables": 3}', '{"tables": [{"setting": 1}]}'])
def test_a_damaged_file_stops_no_report(content, write_runs, make_record, tmp_path):
    source = write_runs([make_record(), make_record(seed=1)])
    (source / "published.json").write_text(content)
    paths = write_report(source, tmp_path / "out")
    damaged = json.loads(paths.json.read_text())["damaged"]
    assert [problem["file"] for problem in damaged] == ["published.json"]
    assert str(source) not in damaged[0]["message"]

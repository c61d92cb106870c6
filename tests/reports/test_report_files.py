from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cl_strategies.errors import UserError
from cl_strategies.reports import write_report
from cl_strategies.reports.write import ReportPaths

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks nesting and gathers what a page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"event handler {name}"
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "data", "action", "srcset"):
                self.links.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data


@pytest.fixture(scope="module")
def report(nine_runs: Path, tmp_path_factory) -> ReportPaths:
    """A report that tests read and none changes."""
    folder = shutil.copytree(nine_runs, tmp_path_factory.mktemp("report") / "comparison")
    return write_report(folder, title="My comparison")


def test_all_files_are_written_beside_the_runs(report: ReportPaths) -> None:
    names = {report.csv.name, report.json.name, report.markdown.name, report.html.name}
    names |= {report.wide.name, report.latex.name}
    assert names == {
        *("summary.csv", "summary_wide.csv", "summary.json"),
        *("report.md", "report.html", "tables.tex"),
    }
    assert {path.name for path in report.csv.parent.iterdir()} == names | {"runs"}
    assert "synthetic-b" in report.table


def test_the_same_runs_give_the_same_bytes(report: ReportPaths, comparison: Path) -> None:
    second = write_report(comparison, comparison / "new" / "folder", title="My comparison")
    for kind in ("csv", "wide", "json", "markdown", "html", "latex"):
        assert getattr(report, kind).read_bytes() == getattr(second, kind).read_bytes()


def test_the_page_is_well_formed_and_self_contained(report: ReportPaths) -> None:
    text = report.html.read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert not {"link", "img", "iframe", "object"} & set(page.tags)
    assert page.tags.count("script") == 1 and "<script>" in text  # inline
    assert "@import" not in text
    assert {reference[0] for reference in re.findall(r"url\(([^)]*)\)", text)} == {"#"}
    assert {name[1:] for name in re.findall(r"url\((#[^)]*)\)", text)} <= set(page.ids)
    assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}  # XML namespaces


def test_the_page_shows_everything(report: ReportPaths) -> None:
    page = Page(report.html.read_text(encoding="utf-8"))
    for expected in (
        "My comparison",
        "synthetic-b",
        "other-stream",
        "the loss is nan",
        "Traceback (synthetic)",
        "runs/damaged/result.json",
        "interrupted",
        "0.0.synthetic",
        "epochs",
        "mean over i of A[T, i]",
    ):
        assert expected in page.text
    # per benchmark: curves, spread, bars, stability, cost, memory; a map per strategy; the scale;
    # pairs
    assert page.tags.count("svg") == 2 * (6 + 3) + (4 + 1) + 1 + 1
    assert page.tags.count("table") == 2 + 2 + 2 + 1 + 1


def test_the_markdown_shows_what_is_missing(report: ReportPaths) -> None:
    text = report.markdown.read_text(encoding="utf-8")
    assert "the loss is nan" in text
    assert "runs/damaged/result.json" in text
    assert "Unfinished: interrupted" in text
    assert "| *joint* |" in text


def test_the_json_holds_rows_runs_and_ruins(report: ReportPaths) -> None:
    text = report.json.read_text(encoding="utf-8")
    data = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert len(data["runs"]) == 9
    assert data["runs"][0]["environment"]["device"] == "cpu"
    assert data["unfinished"] == ["interrupted"]
    assert [item["file"] for item in data["damaged"]] == ["runs/damaged/result.json"]
    row = next(row for row in data["rows"] if row["strategy"] == "joint")
    assert {"benchmark", "strategy", "metric", "mean", "std", "n", "values"} <= set(row)


NASTY = "<script>alert(1)</script> & \"q\" 'p' $x_1$ {{ 7 * 7 }} |*`"


def test_every_environment_of_a_run_is_in_the_table(make_record, write_runs) -> None:
    environment = {"python": "3.12", "earlier": [{"python": "3.11"}]}
    paths = write_report(write_runs([make_record("a")], environment))
    assert "3.11 | 3.12" in Page(paths.html.read_text()).text
    assert r"| python | 3.11 \| 3.12 |" in paths.markdown.read_text()


def test_names_and_values_from_runs_are_escaped(make_record, write_runs) -> None:
    records = [
        make_record(NASTY, benchmark=f"b {NASTY}", options={"o": NASTY}),
        make_record(NASTY, benchmark=f"b {NASTY}", seed=1, options={"o": NASTY}),
        make_record("b", benchmark=f"b {NASTY}", failed=True, message=NASTY),
    ]
    out = write_runs(records, {NASTY: NASTY})
    (out / "runs" / "<b>bold").mkdir()
    paths = write_report(out, title=NASTY)
    text = paths.html.read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("script") == 1  # the page's own
    assert "b" not in page.tags
    assert "{{ 7 * 7 }}" in page.text
    markdown = paths.markdown.read_text(encoding="utf-8")
    assert "<script" not in markdown
    assert "<b>" not in markdown


def test_one_seed_one_task_and_a_hundred_tasks(make_record, write_runs) -> None:
    records = [
        make_record("synthetic-a", benchmark="one", tasks=1),
        make_record("synthetic-b", benchmark="one", tasks=1, keep=0.5),
        make_record("synthetic-a", benchmark="hundred", tasks=100, keep=0.99),
    ]
    html = write_report(write_runs(records)).html
    page = Page(html.read_text(encoding="utf-8"))
    assert any(link.startswith("data:image/png") for link in page.links)
    assert html.stat().st_size < 400_000


def test_all_runs_failed(make_record, write_runs) -> None:
    paths = write_report(write_runs([make_record(failed=True), make_record("b", failed=True)]))
    page = Page(paths.html.read_text(encoding="utf-8"))
    assert "svg" not in page.tags
    assert "No run on this benchmark finished." in page.text
    assert "failure_rate,1.0" in paths.csv.read_text()


def test_nothing_but_an_interrupted_run(tmp_path: Path) -> None:
    (tmp_path / "runs" / "started").mkdir(parents=True)
    page = Page(write_report(tmp_path).html.read_text(encoding="utf-8"))
    assert "started" in page.text


def test_a_large_comparison_stays_below_three_megabytes(make_record, write_runs) -> None:
    records = [
        make_record(f"synthetic-{k:02d}", benchmark=f"stream-{b}", tasks=10, keep=0.6 + 0.03 * k)
        for k in range(9)
        for b in range(2)
    ]
    assert write_report(write_runs(records)).html.stat().st_size < 3_000_000


def test_an_empty_directory_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no runs found"):
        write_report(tmp_path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"source_dir": 5}, "source_dir is 5: give the path of a folder"),
        ({"source_dir": None}, "source_dir is None"),
        ({"source_dir": ["runs"]}, "source_dir is \\['runs'\\]"),
        ({"source_dir": "a\0b"}, "give the path of a folder"),
        ({"out_dir": "a\0b"}, "give the path of a folder"),
        ({"out_dir": 5}, "out_dir is 5: give the path of a folder"),
        ({"title": 5}, "title is 5: give a text"),
    ],
)
def test_an_argument_of_another_type_is_named(comparison: Path, arguments, named: str) -> None:
    with pytest.raises(UserError, match=named):
        write_report(**{"source_dir": comparison, **arguments})
    assert [path.name for path in comparison.iterdir()] == ["runs"]


def test_every_figure_is_described_from_the_data(report: ReportPaths) -> None:
    text = report.html.read_text(encoding="utf-8")
    figures = re.findall(r"<svg[^>]*>", text)
    assert figures and all('role="img"' in tag for tag in figures)
    for tag in figures:
        title, description = re.search(r'aria-labelledby="(\S+) (\S+)"', tag).groups()
        assert f'<title id="{title}">' in text
        said = re.search(rf'<desc id="{re.escape(description)}">([^<]*)</desc>', text)[1]
        assert 10 < len(said) <= 300
    page = Page(text)
    assert page.tags.count("figure") == page.text.count("In words")


def test_tables_sort_and_stay_readable_without_scripts(report: ReportPaths) -> None:
    text = report.html.read_text(encoding="utf-8")
    assert text.count('class="numbers sortable"') >= 2
    assert re.search(r'data-v="0\.\d+"', text)
    assert "<button" not in text  # only the script makes them

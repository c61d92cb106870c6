"""Large reports: an index and a page for each benchmark."""

from __future__ import annotations

import re

import pytest

from cl_strategies.errors import UserError
from cl_strategies.reports import write_report
from cl_strategies.reports.render import pages

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def few_lines(monkeypatch):
    """The limit is a number of lines: three make a large report here."""
    monkeypatch.setattr(pages, "MOST_LINES", 3)


def suite(make_record, benchmarks=("stream <1>", "zweites"), seeds=2):
    return [
        make_record(name, benchmark=benchmark, seed=seed, keep=keep)
        for benchmark in benchmarks
        for name, keep in (("a", 0.8), ("b", 0.7))
        for seed in range(seeds)
    ] + [make_record("a", benchmark=benchmarks[-1], seed=9, failed=True, message="it broke")]


def test_up_to_the_limit_there_is_one_page(make_record, write_runs) -> None:
    paths = write_report(write_runs(suite(make_record)))
    assert not (paths.html.parent / "report-pages").exists()
    assert 'id="matrices"' in paths.html.read_text("utf-8")


def test_an_index_and_a_page_for_each_benchmark(make_record, write_runs, few_lines) -> None:
    paths = write_report(write_runs(suite(make_record)))
    folder, index = paths.html.parent, paths.html.read_text("utf-8")
    links = dict.fromkeys(re.findall(r'href="(report-pages/[^"]+)"', index))
    assert [*links] == ["report-pages/001-stream-1.html", "report-pages/002-zweites.html"]
    first, second = ((folder / link).read_text("utf-8") for link in links)
    assert index.count("Summary table of") == 2 and "Wins, ties and losses" in index
    assert 'id="matrices"' not in index and "it broke" in index
    assert 'id="matrices"' in first and 'id="comparisons"' in first
    assert "stream &lt;1&gt;" in first and "zweites" not in first and "it broke" not in first
    assert "it broke" in second and 'href="../report.html"' in second
    assert first.count("Summary table of") == 1 and "4 finished runs" in first


def test_pages_that_are_no_longer_wanted_go_and_others_stay(
    make_record, write_runs, few_lines, monkeypatch
) -> None:
    out = write_runs(suite(make_record))
    write_report(out)
    (out / "report-pages" / "notes.html").write_text("mine")
    monkeypatch.setattr(pages, "MOST_LINES", 100)
    write_report(out)
    assert [path.name for path in (out / "report-pages").iterdir()] == ["notes.html"]


def test_pages_are_not_written_through_a_link(make_record, write_runs, few_lines, tmp_path) -> None:
    out = write_runs(suite(make_record))
    (tmp_path / "elsewhere").mkdir()
    (out / "report-pages").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        write_report(out)
    assert not [*(tmp_path / "elsewhere").iterdir()]

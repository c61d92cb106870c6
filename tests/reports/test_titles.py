"""Where the heading of a report comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl_strategies.reports import write_report
from cl_strategies.results.heading import write_heading

pytestmark = pytest.mark.usefixtures("undrawn")


def test_the_title_is_that_of_the_suite(comparison: Path) -> None:
    assert "<h1>Continual-learning comparison</h1>" in write_report(comparison).html.read_text()
    write_heading(comparison, "quick")
    assert "<h1>quick</h1>" in write_report(comparison).html.read_text()
    write_heading(comparison, "quick", "Eight ways & more")
    assert "<h1>Eight ways &amp; more</h1>" in write_report(comparison).html.read_text()
    assert "<h1>mine</h1>" in write_report(comparison, title="mine").html.read_text()


@pytest.mark.parametrize("content", ["{", "[]", '{"name": 5, "title": ""}', '{"name": "a\\nb"}'])
def test_a_damaged_name_of_the_suite_is_said(comparison: Path, content: str) -> None:
    (comparison / "suite.json").write_text(content)
    paths = write_report(comparison)
    (problem,) = [item for item in paths.problems if item.file == "suite.json"]
    assert "delete it" in problem.message
    assert "<h1>Continual-learning comparison</h1>" in paths.html.read_text()

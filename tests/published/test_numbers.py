"""Measured numbers in README.md and in the pages come from the published reports."""

from __future__ import annotations

import re

import pytest

#: What stands in a table that is written from a report, in code, or in a link.
ELSEWHERE = re.compile(
    r"<!-- (measured|claims|verdicts|reports|parameters|metrics|methods|recipes|papers|costs|"
    r"decisions|simulated|covered)\b.*?<!-- end -->"
    r"|```.*?```|`[^`\n]*`|\]\([^)]*\)",
    re.DOTALL,
)
MEASURED = re.compile(r"\d+(?:\.\d+)? ?(?:±|%|points?\b)")


def found(text: str) -> list[str]:
    return MEASURED.findall(ELSEWHERE.sub("", text))


def test_the_tables_are_those_of_the_published_reports() -> None:
    from measured import pages, written

    for page in pages():
        text = page.read_text("utf-8")
        assert written(text) == text, f"run python docs/measured.py: {page.name} is out of date"


@pytest.mark.parametrize("page", ["README.md", "docs/claims.md"])
def test_no_measured_number_stands_outside_of_them(page: str) -> None:
    from measured import ROOT

    assert not found((ROOT / page).read_text("utf-8").replace("95 %", ""))


def test_what_is_measured_is_found() -> None:
    assert found("from 91.0 ± 0.4 to 73 %, 2.5 points, or 40.9% at `lr = 0.1 %`") == [
        *("91.0 ±", "73 %", "2.5 points", "40.9%")
    ]
    assert not found("<!-- measured: a, b, c -->\n| 91.0 ± 0.4 |\n<!-- end -->")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("quickstart, split-digit, forgetting", "split-digits"),
        ("quickstart, split-digits, forgeting", "forgetting"),
        ("quickstart, split-digits", "name a metric"),
        ("quickstart, split-digits, forgetting for sii", "si"),
    ],
)
def test_a_mark_that_fits_nothing_is_refused(asked: str, message: str) -> None:
    from measured import table

    with pytest.raises(ValueError, match=message):
        table(asked)

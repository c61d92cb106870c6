"""Measured numbers in README.md and in the pages come from the published reports."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from scipy import stats

#: What stands in a table that is written from a report, in code, or in a link.
ELSEWHERE = re.compile(
    r"<!-- (measured|figures|differences|claims|verdicts|reports|parameters|metrics|methods|"
    r"recipes|papers|costs|decisions|simulated|covered|parity|inner-steps|compressed|mask-terms)\b"
    r".*?<!-- end -->"
    r"|```.*?```|`[^`\n]*`|\]\([^)]*\)",
    re.DOTALL,
)
#: Levels, shares and bounds that somebody chose or counted; nobody measured them.
ANYWHERE = {"95 %"}
CHOSEN = {
    "docs/statistics.md": {
        *ANYWHERE,
        *("5 %", "80 %", "| Difference / standard deviation of the differences | 0.5 |"),
    },
    "docs/methods/halrp.md": {*ANYWHERE, "0.4 %"},
    "docs/reports.md": {*ANYWHERE, "40 %", "100 %"},
    "docs/calibration.md": {"1 %"},
    "docs/exemplars.md": {*ANYWHERE, "0.2 %"},
    "docs/parity.md": {*ANYWHERE, "3 points"},
    "docs/benchmarks.md": {"5 %", "25 %", "100 %", "70 %", "30 %", "50 %", "10 %"},
}
MEASURED = re.compile(
    r"\d+(?:\.\d+)? ?(?:±|%|points?\b|percent\b)"
    r"|^\|.*\| *[-\N{MINUS SIGN}]?\d+\.\d+ *\|",  # a cell of a table
    re.MULTILINE,
)


def found(text: str) -> list[str]:
    return MEASURED.findall(ELSEWHERE.sub("", text))


def test_the_tables_are_those_of_the_published_reports() -> None:
    from measured import pages, written

    for page in pages():
        text = page.read_text("utf-8")
        assert written(text) == text, f"run python docs/measured.py: {page.name} is out of date"


def test_no_measured_number_stands_outside_of_them() -> None:
    from measured import ROOT, pages

    outside = {}
    for page in pages():
        name = str(page.relative_to(ROOT))
        numbers = [n for n in found(page.read_text("utf-8")) if n not in CHOSEN.get(name, ANYWHERE)]
        if numbers:
            outside[name] = numbers
    assert not outside


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
        ("data-free-digits, split-digits, forgetting at W5A5 for ZAQ, input_deviation 1", "W4A4"),
    ],
)
def test_a_mark_that_fits_nothing_is_refused(asked: str, message: str) -> None:
    from measured import table

    with pytest.raises(ValueError, match=message):
        table(asked)


def test_a_metric_has_a_column_at_each_width() -> None:
    from measured import table

    report = "data-free-digits, split-digits, average_accuracy"
    row = "ZAQ, input_deviation 0.38"
    wide = table(f"{report} at W3A3, W4A4 for naive; {row}").splitlines()
    assert wide[0] == "| strategy | average accuracy, W3A3 | average accuracy, W4A4 |"
    cells = [
        table(f"{report} for {name}; naive").splitlines()[2].split("|")[2]
        for name in ("ZAQ, W3A3, input_deviation 0.38", "ZAQ, W4A4, input_deviation 0.38", "naive")
    ]
    assert len(set(cells)) == 3
    assert wide[2:4] == [f"| naive |{cells[2]}|{cells[2]}|", f"| {row} |{cells[0]}|{cells[1]}|"]


def test_differences_are_paired_by_seed() -> None:
    from measured import PUBLISHED, differences

    runs = json.loads((PUBLISHED / "quickstart" / "summary.json").read_text("utf-8"))["runs"]
    scores: dict[str, dict[int, float]] = {"replay": {}, "naive": {}}
    for run in runs:
        name = run["config"]["strategy"]["name"]
        if run["config"]["benchmark"]["name"] == "permuted-digits" and name in scores:
            last = run["accuracy_matrix"][-1]
            scores[name][run["config"]["run"]["seed"]] = 100 * sum(last) / len(last)
    gains = np.array([scores["replay"][seed] - scores["naive"][seed] for seed in scores["naive"]])
    spread = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
    shown = differences("quickstart, permuted-digits, average_accuracy for replay against naive")
    low, high = gains.mean() - spread, gains.mean() + spread
    assert f"| replay against naive | {gains.mean():+.1f} | {low:+.1f} to {high:+.1f} |" in shown
    assert f"over {len(gains)} pairs" in shown


def test_figures_have_a_column_for_each_prefix() -> None:
    from measured import figures

    shown = figures("step-4-bit-, step-4-bit-")
    assert shown.startswith("| | bit | bit |\n")
    line = next(line for line in shown.splitlines() if line.startswith("| `lsq` |"))
    assert len(set(cell for cell in line.split("|")[2:-1])) == 1

"""Tables for papers: bold is only what the tests call the best."""

import re

import pytest

from cl_strategies.reports import write_report
from cl_strategies.reports.render.latex import escaped

pytestmark = pytest.mark.usefixtures("undrawn")


def lines_of(folder):
    text = write_report(folder).latex.read_text()
    assert text.count("{") == text.count("}") and text.count(r"\begin") == text.count(r"\end")
    return text, {line.split(" & ")[0].strip(): line for line in text.splitlines() if "&" in line}


def test_a_best_mean_alone_is_not_bold(make_record, write_runs):
    records = [make_record("a", keep=0.9), make_record("b", keep=0.5)]
    text, lines = lines_of(write_runs(records))
    assert r"\mathbf" not in text and r"\toprule" in text and lines["a"].endswith(r"& 1 \\")


def test_what_is_best_is_bold_and_bounds_are_apart(make_record, write_runs):
    seeds = range(8)
    records = [make_record("a_b", seed=s, keep=0.9 + 0.001 * s) for s in seeds]
    records += [make_record("c", seed=s, keep=0.5 + 0.002 * s) for s in seeds]
    records += [make_record("joint", keep=1.0)]
    text, lines = lines_of(write_runs(records))
    cells = lines[r"a\_b"].split(" & ")
    assert re.fullmatch(r"\$\\mathbf\{[\d.]+\} \\pm [\d.]+\$", cells[1])
    assert "mathbf" not in lines["c"] and "mathbf" not in lines["joint"]
    body = text[text.index(r"\midrule") :]
    assert body.index("c &") < body.rindex(r"\midrule") < body.index("joint")
    assert re.search(r"\$-[\d.]+ ", lines["c"])  # backward transfer


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a_b & 5%", r"a\_b \& 5\%"),
        ("x\\y{}", r"x\textbackslash{}y\{\}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
    ],
)
def test_nothing_in_a_label_is_obeyed(text, written):
    assert escaped(text) == written

"""Two reports beside each other."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.reports import write_report
from cl_strategies.reports.comparison.against import against
from cl_strategies.reports.reading.collection import Collection, Run
from cl_strategies.reports.sections.changes import lines
from cl_strategies.results.identity import Identity

pytestmark = pytest.mark.usefixtures("undrawn")


def collection(records) -> Collection:
    runs = (Run(directory=f"run-{k}", record=record) for k, record in enumerate(records))
    return Collection(runs=tuple(runs))


def runs(make_record, name, values, packages="1.0", **options):
    records = [
        make_record(name, seed=seed, metrics={"average_accuracy": value}, **options)
        for seed, value in enumerate(values)
    ]
    identity = Identity(data="d1", packages={"cl-strategies": packages})
    return [dataclasses.replace(record, identity=identity) for record in records]


BEFORE = (0.50, 0.52, 0.51, 0.53, 0.49, 0.52)


def change(found, strategy):
    (one,) = [c for c in found.changes if (c.strategy, c.metric) == (strategy, "average_accuracy")]
    return one


def test_numbers_are_the_same_better_or_within_noise(make_record) -> None:
    noisy = [x + d for x, d in zip(BEFORE, (0.03, -0.02, 0.03, -0.04, 0.02, 0.01), strict=True)]
    better = [x + 0.1 + 0.01 * k for k, x in enumerate(BEFORE)]
    nearly = [x + d for x, d in zip(BEFORE, (1e-3, -1e-3, 1e-3, -1e-3, 5e-4, 0), strict=True)]
    now = {"same": BEFORE, "noisy": noisy, "better": better, "nearly": nearly}
    found = against(
        collection(r for name, values in now.items() for r in runs(make_record, name, values)),
        collection(r for name in now for r in runs(make_record, name, BEFORE)),
        "old",
    )
    words = {name: change(found, name).word for name in now}
    assert words == {
        "same": "the same numbers",
        "noisy": "may be noise",
        "better": "better",
        "nearly": "equivalent",
    }
    assert change(found, "better").mean == pytest.approx(0.125)
    assert "of 4: 1 better, 1 equivalent, 1 with changes that may be noise" in found.sentence


def test_what_differs_in_code_data_and_settings_is_said(make_record) -> None:
    now = runs(make_record, "a", BEFORE, "2.0", train={"lr": 0.1}) + runs(
        make_record, "new", BEFORE
    )
    now = [dataclasses.replace(r, identity=dataclasses.replace(r.identity, data="d2")) for r in now]
    before = runs(make_record, "a", BEFORE, train={"lr": 0.2}) + runs(make_record, "old", BEFORE)
    said = " ".join(lines(against(collection(now), collection(before), "last year")))
    assert "Code: cl-strategies was 1.0, is 1.0 and 2.0." in said
    assert "synthetic-stream: data were d1, are d2." in said
    assert "Settings of a on synthetic-stream: train.lr: 0.2 -> 0.1." in said
    assert "Only here: new on synthetic-stream." in said
    assert "Only in last year: old on synthetic-stream." in said


def test_the_same_settings_are_matched_under_other_labels(make_record) -> None:
    now = runs(make_record, "a", BEFORE, options={"strength": 1.0})
    now += runs(make_record, "a", BEFORE, options={"strength": 2.0})
    before = runs(make_record, "a", BEFORE, options={"strength": 1.0})
    found = against(collection(now), collection(before), "old")
    assert found.added == ("a (strength=2.0) on synthetic-stream",)
    assert found.removed == () and found.settings == ()
    assert change(found, "a (strength=1.0)").word == "the same numbers"


def test_other_seeds_cannot_be_compared(make_record) -> None:
    before = [dataclasses.replace(r) for r in runs(make_record, "a", BEFORE)]
    now = [make_record("a", seed=seed) for seed in range(20, 23)]
    one = change(against(collection(now), collection(before), "old"), "a")
    assert (one.n, one.word) == (0, "not comparable")


@pytest.fixture
def folders(make_record, write_runs, tmp_path_factory):
    folder = write_runs(runs(make_record, "a", BEFORE) + runs(make_record, "b", BEFORE))
    other = tmp_path_factory.mktemp("reports") / "earlier"
    shutil.copytree(folder, other)
    return folder, other


def test_the_command_compares_with_runs_or_with_a_published_report(folders, capsys) -> None:
    folder, other = folders
    assert main(["report", str(folder), "--against", str(other)]) == 0
    sentence = "Average accuracy against earlier, of 2: 2 with the same numbers."
    assert sentence in capsys.readouterr().out
    page = (folder / "report.html").read_text()
    assert sentence in page and "## Against earlier" in (folder / "report.md").read_text()
    write_report(other)
    shutil.rmtree(other / "runs")
    assert main(["report", str(folder), "--against", str(other)]) == 0
    assert (folder / "report.html").read_text() == page
    data = json.loads((folder / "summary.json").read_text())
    assert {item["word"] for item in data["against"]["changes"]} == {"the same numbers"}
    assert main(["report", str(folder)]) == 0
    assert "Against earlier" not in (folder / "report.html").read_text()


def test_a_folder_without_a_report_is_refused(folders, tmp_path_factory, capsys) -> None:
    folder, _ = folders
    empty = tmp_path_factory.mktemp("empty")
    assert main(["report", str(folder), "--against", str(empty)]) == 2
    assert "no runs found" in capsys.readouterr().err
    (empty / "summary.json").write_text("{}")
    with pytest.raises(UserError, match=r"summary\.json cannot be read"):
        write_report(folder, against=empty)
    with pytest.raises(UserError, match="against is 5"):
        write_report(folder, against=5)
    assert not (folder / "report.html").exists()

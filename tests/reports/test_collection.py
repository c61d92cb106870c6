from __future__ import annotations

from pathlib import Path

import pytest

from cl_strategies.errors import UserError
from cl_strategies.reports.collection import collect


def test_every_directory_is_accounted_for(make_record, write_runs) -> None:
    out = write_runs([make_record(), make_record(seed=1, failed=True)], {"device": "cpu"})
    (out / "runs" / "damaged").mkdir()
    (out / "runs" / "damaged" / "result.json").write_text('{"schema": 1, "sta')
    (out / "runs" / "interrupted").mkdir()
    (out / "runs" / ".hidden").mkdir()
    (out / "runs" / "notes.txt").write_text("not a run")
    found = collect(out)
    assert [run.directory for run in found.runs] == ["run-000", "run-001"]
    assert [run.record.finished for run in found.runs] == [True, False]
    assert found.runs[0].environment == {"device": "cpu"}
    assert [problem.file for problem in found.problems] == ["runs/damaged/result.json"]
    assert found.unfinished == ("interrupted",)


def test_a_damaged_environment_is_listed_and_the_run_kept(make_record, write_runs) -> None:
    out = write_runs([make_record()])
    (out / "runs" / "run-000" / "environment.json").write_text("[]")
    found = collect(out)
    assert len(found.runs) == 1
    assert [problem.file for problem in found.problems] == ["runs/run-000/environment.json"]


def test_problems_do_not_name_the_machine(make_record, write_runs) -> None:
    out = write_runs([make_record()])
    (out / "runs" / "run-000" / "result.json").write_text("{}")
    (problem,) = collect(out).problems
    assert str(out) not in problem.message
    assert "schema" in problem.message


@pytest.mark.parametrize("make_folder", [False, True])
def test_an_empty_directory_is_a_user_error(tmp_path: Path, make_folder: bool) -> None:
    if make_folder:
        (tmp_path / "runs").mkdir()
    with pytest.raises(UserError, match="no runs found in") as caught:
        collect(tmp_path)
    assert "<run>/result.json" in str(caught.value)


def test_the_runs_directory_itself_gets_a_hint(make_record, write_runs) -> None:
    out = write_runs([make_record()])
    with pytest.raises(UserError, match="Did you mean") as caught:
        collect(out / "runs")
    assert str(out) in str(caught.value)

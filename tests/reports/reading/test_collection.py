from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.reports import write_report
from cl_strategies.reports.reading.collection import collect

pytestmark = pytest.mark.usefixtures("undrawn")


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


def test_a_copied_run_directory_is_no_repetition(make_record, write_runs) -> None:
    out = write_runs([make_record(), make_record(seed=1)])
    runs = out / "runs"
    for k in range(2):
        shutil.copytree(runs / f"run-00{k}", runs / f"run-00{k}.bak")
    found = collect(out)
    assert [run.directory for run in found.runs] == ["run-000", "run-001"]
    assert [problem.file for problem in found.problems] == ["runs/run-000.bak", "runs/run-001.bak"]
    assert "the same run as run-000" in found.problems[0].message
    paths = write_report(out)
    (row,) = (r for r in paths.csv.read_text().splitlines() if ",average_accuracy," in r)
    assert row.endswith(",2")
    assert "runs/run-000.bak" in paths.html.read_text()


def test_of_copies_the_one_with_the_name_of_the_run_is_kept(make_record, write_runs) -> None:
    record = make_record()
    out = write_runs([record])
    name = f"naive-digits-s0-{record.config_hash}"
    shutil.copytree(out / "runs" / "run-000", out / "runs" / name)
    shutil.copytree(out / "runs" / "run-000", out / "runs" / f"{name}.bak")
    found = collect(out)
    assert [run.directory for run in found.runs] == [name]
    assert [p.file for p in found.problems] == [f"runs/{name}.bak", "runs/run-000"]


def test_a_copy_stands_in_for_a_run_that_is_damaged(make_record, write_runs) -> None:
    out = write_runs([make_record()])
    shutil.copytree(out / "runs" / "run-000", out / "runs" / "run-000.bak")
    (out / "runs" / "run-000" / "result.json").write_text("{")
    found = collect(out)
    assert [run.directory for run in found.runs] == ["run-000.bak"]
    assert [problem.file for problem in found.problems] == ["runs/run-000/result.json"]


@pytest.fixture
def closed(monkeypatch):
    """Make the system refuse to look at some paths, as it does without the right to, even if we
    are root and it would not."""

    def refuse(*names: str, code: int = errno.EACCES) -> None:
        stat = Path.stat

        def refusing(path: Path, **options: bool) -> os.stat_result:
            if any(name in path.as_posix() for name in names):
                raise OSError(code, os.strerror(code), str(path))
            return stat(path, **options)

        monkeypatch.setattr(Path, "stat", refusing)

    return refuse


@pytest.mark.parametrize("name", ["run-000", "run-000/result.json"])
@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_an_unreadable_run_directory_stops_no_report(
    make_record, write_runs, closed, name: str, code: int
) -> None:
    out = write_runs([make_record(), make_record(seed=1)])
    closed(name, code=code)
    found = collect(out)
    assert [run.directory for run in found.runs] == ["run-001"]
    (problem,) = found.problems
    assert problem.file == "runs/run-000" and os.strerror(code) in problem.message
    assert "make it readable" in problem.message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_directories_that_are_closed_to_us_stop_no_report(make_record, write_runs) -> None:
    out = write_runs([make_record(seed=seed) for seed in range(4)])
    closed = [out / "runs" / f"run-00{k}" for k in range(2)]
    file = out / "runs" / "run-002" / "environment.json"
    file.write_text("{}")
    for path, mode in zip([*closed, file], (0o000, 0o644, 0o000), strict=True):
        path.chmod(mode)
    try:
        found = collect(out)
        write_report(out)
    finally:
        for path in closed:
            path.chmod(0o755)
    assert [run.directory for run in found.runs] == ["run-002", "run-003"]
    assert [problem.file for problem in found.problems] == [
        "runs/run-000",
        "runs/run-001",
        "runs/run-002/environment.json",
    ]
    (out / "runs").chmod(0o000)
    try:
        with pytest.raises(UserError, match="cannot read .*runs"):
            collect(out)
    finally:
        (out / "runs").chmod(0o755)


def test_a_folder_that_cannot_be_looked_at_is_a_user_error(tmp_path: Path, closed, capsys) -> None:
    assert main(["report", "a" * 300]) == 2
    assert "cannot read aaa" in capsys.readouterr().err
    with pytest.raises(UserError, match="cannot read"):
        collect("a\ud800b")
    closed(tmp_path.name)
    with pytest.raises(UserError, match="Permission denied"):
        collect(tmp_path)


def test_a_name_that_leads_nowhere_is_no_run(make_record, write_runs) -> None:
    out = write_runs([make_record()])
    (out / "runs" / "gone").symlink_to(out / "nothing")
    (out / "runs" / "round").symlink_to(out / "runs" / "round")
    found = collect(out)
    assert [run.directory for run in found.runs] == ["run-000"]
    assert [problem.file for problem in found.problems] == ["runs/round"]

"""Several processes write the report of one folder, and some are killed while they do."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.reports import write, write_report
from cl_strategies.reports.sections.content import Content
from cl_strategies.results.record import write_result

pytestmark = pytest.mark.usefixtures("undrawn")

NAMES = ("summary.csv", "summary.json", "report.md", "report.html", "published.json")


def left_behind(folder: Path, name: str, hours: float) -> Path:
    """A temporary file as a killed process leaves it."""
    handle, path = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    os.close(handle)
    written = time.time() - 3600 * hours
    os.utime(path, (written, written))
    return Path(path)


def test_what_killed_reports_left_is_removed(make_record, write_runs) -> None:
    out = write_runs([make_record()])
    old = [left_behind(out, name, 1.1) for name in NAMES]
    write_report(out)
    assert not any(path.exists() for path in old)


def test_what_others_may_be_writing_is_not(make_record, write_runs) -> None:
    out = write_runs([make_record()])
    kept = [left_behind(out, name, hours) for name in NAMES for hours in (0.9, 0.0, -5.0)]
    kept += [left_behind(out, "notes.txt", 100), left_behind(out / "runs", "summary.csv", 100)]
    for name in (
        "summary.csv",
        ".summary.csv.bak",
        ".summary.csv.as-it-was",
        ".report.md.OLDFILES",
    ):
        (out / name).write_text("mine")
        os.utime(out / name, (0, 0))
        kept.append(out / name)
    (out / ".report.md.a_folder").mkdir()
    os.utime(out / ".report.md.a_folder", (0, 0))
    kept.append(out / ".report.md.a_folder")
    write_report(out)
    assert all(path.exists() for path in kept)


def test_what_cannot_be_removed_costs_no_report(make_record, write_runs, monkeypatch) -> None:
    out = write_runs([make_record()])
    left_behind(out, "report.md", 2)

    def refused(path: Path, **options: Any) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    assert write_report(out).html.exists()


@pytest.mark.parametrize("moment", range(6))
def test_a_report_in_the_middle_of_another_disturbs_neither(
    make_record, write_runs, monkeypatch, moment: int
) -> None:
    out = write_runs([make_record(seed=seed) for seed in range(2)])
    expected = {path.name: path.read_bytes() for path in files(write_report(out))}
    rename, renamed = os.replace, []

    def interrupted(source: Any, target: Any) -> None:
        renamed.append(target)
        if len(renamed) == moment + 1:
            assert {path.name: path.read_bytes() for path in files(write_report(out))} == expected
        rename(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    assert {path.name: path.read_bytes() for path in files(write_report(out))} == expected
    assert len(renamed) == 12
    assert {path.name for path in out.iterdir()} == {"runs", *expected}


def files(paths: Any) -> list[Path]:
    return [paths.csv, paths.wide, paths.json, paths.markdown, paths.html, paths.latex]


def test_the_report_of_whoever_read_less_does_not_win(
    make_record, write_runs, monkeypatch, tmp_path
) -> None:
    """A shard draws; another one ends its last run, and its report is there first."""
    out = write_runs([make_record()])
    late, draw, others = tmp_path / "late.json", write.html_files, [True]
    write_result(late, make_record(seed=1))

    def slowly(content: Content) -> dict[str, str]:
        text = draw(content)
        if others and others.pop():
            (out / "runs" / "late").mkdir()
            late.rename(out / "runs" / "late" / "result.json")
            write_report(out)
        return text

    monkeypatch.setattr(write, "html_files", slowly)
    paths = write_report(out)
    assert "2 finished runs" in paths.html.read_text()
    assert "average_accuracy" in paths.csv.read_text()
    assert all(line.endswith(",2") for line in paths.csv.read_text().splitlines()[1:])
    assert "    2" in paths.table


def test_a_folder_that_is_always_written_to_gets_its_report(
    make_record, write_runs, monkeypatch
) -> None:
    out = write_runs([make_record()])
    draw, times = write.html_files, []

    def disturbed(content: Content) -> dict[str, str]:
        times.append(len(times))
        (out / "summary.csv").unlink(missing_ok=True)
        (out / "summary.csv").write_text("theirs" * len(times))
        os.utime(out / "summary.csv", (len(times), len(times)))
        return draw(content)

    monkeypatch.setattr(write, "html_files", disturbed)
    assert "average_accuracy" in write_report(out).csv.read_text()
    assert len(times) == 4

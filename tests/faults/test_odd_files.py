"""Pipes and files without end where a run's files should be: named at once, and not waited for."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from cl_strategies.cli import main
from cl_strategies.io import bounded as regular

pytestmark = pytest.mark.usefixtures("undrawn")

FILES = ("result.json", "checkpoint.pt", "config.toml", "environment.json", "metrics.jsonl")
NEEDED = ("result.json", "checkpoint.pt")


@pytest.fixture(autouse=True)
def in_time():
    """Or the pipe is waited for until the end of the world."""

    def late(*arguments):
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, command):
    out = tmp_path_factory.mktemp("finished")
    assert main(command(out)) == 0
    return out


def pipe(path):
    os.mkfifo(path)


def endless(path):
    with open(path, "wb") as file:
        file.truncate(regular.MAX_BYTES + 1)  # of zeros that take no room


@pytest.mark.parametrize("make", [pipe, pytest.param(endless, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FILES)
def test_it_is_named_and_costs_what_depends_on_it(
    make, name, finished, tmp_path, command, numbers, whole, capsys
):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    run = next(out.glob("runs/replay-*"))
    if name == "checkpoint.pt":
        (run / "result.json").unlink()  # else nobody looks at it
    (run / name).unlink()
    make(run / name)
    capsys.readouterr()
    code = main(command(out))
    said = capsys.readouterr().err
    assert code == (2 if name in NEEDED else 0)
    assert str(run / name) in said and "elete it" in said and "Traceback" not in said
    (run / name).unlink()
    assert main(command(out)) == 0
    assert numbers(out) == whole


def test_what_papers_print_is_a_file(finished, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    pipe(out / "published.json")
    assert main(["report", str(out)]) == 0
    assert "published.json cannot be read" in capsys.readouterr().err


def test_a_lock_that_is_a_pipe_keeps_nobody_waiting(finished, tmp_path, command, numbers, whole):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    run = next(out.glob("runs/replay-*"))
    (run / "result.json").unlink()
    (run / ".lock").unlink()
    pipe(run / ".lock")
    if main(command(out)) == 2:
        (run / ".lock").unlink()
        assert main(command(out)) == 0
    assert numbers(out) == whole


def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(11))
    assert regular.read_regular(path, 11) == bytes(11)
    with pytest.raises(OSError, match="more than the 10 bytes"):
        regular.read_regular(path, 10)
    with pytest.raises(IsADirectoryError):
        regular.read_regular(tmp_path)

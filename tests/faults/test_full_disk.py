"""A disk that is full, or may not be written to, at every single step of writing."""

from __future__ import annotations

import errno
import os

import pytest

from cl_strategies.cli import main
from cl_strategies.io import atomic

pytestmark = pytest.mark.usefixtures("undrawn")

STEPS = {
    "create": (atomic, "_create"),
    "open": (os, "fdopen"),
    "sync": (os, "fsync"),
    "rename": (os, "replace"),
}


class Failing:
    """Calls through, but fails with ``code`` from the ``at``-th call on."""

    def __init__(self, call, at, code):
        self.call, self.at, self.code, self.calls = call, at, code, 0

    def __call__(self, *arguments, **options):
        self.calls += 1
        if self.at is not None and self.calls > self.at:
            raise OSError(self.code, os.strerror(self.code))
        return self.call(*arguments, **options)


class FullFile:
    """A file that takes no byte."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.file.close()

    def write(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def calls_of_a_whole_comparison(step, out, command):
    module, name = STEPS[step]
    with pytest.MonkeyPatch.context() as patch:
        count = Failing(getattr(module, name), None, 0)
        patch.setattr(module, name, count)
        assert main(command(out)) == 0
    return count.calls


@pytest.mark.parametrize(
    ("step", "code"), [*((step, errno.ENOSPC) for step in STEPS), ("create", errno.EROFS)]
)
def test_the_command_says_what_is_wrong_and_then_continues(
    step, code, tmp_path, command, numbers, whole, capsys, stride
):
    """From the n-th write on nothing can be written, for n over training, checkpoints, report."""
    module, name = STEPS[step]
    total = calls_of_a_whole_comparison(step, tmp_path / "count", command)
    assert total >= 2 * 6 + 4  # six files of each run, four of the report
    some = {0, total // 2, total - 2} if step == "create" and code == errno.ENOSPC else {total // 2}
    for at in range(total) if stride == 1 else some:
        out = tmp_path / f"{at}"
        with pytest.MonkeyPatch.context() as patch:
            call = Failing(getattr(module, name), at, code)
            patch.setattr(module, name, call)
            capsys.readouterr()
            assert main(command(out)) == 2
        said = capsys.readouterr().err
        assert f"cannot write {out}" in said and os.strerror(code) in said
        assert "Traceback" not in said
        assert [p for p in out.rglob(".*.*") if p.name != ".lock"] == []
        assert main(command(out)) == 0
        assert numbers(out) == whole


@pytest.fixture(params=[3, pytest.param(1, marks=pytest.mark.slow)])
def stride(request):
    return request.param


def test_a_file_that_takes_no_byte(tmp_path, command, numbers, whole, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        real = os.fdopen
        patch.setattr("cl_strategies.io.atomic.os.fdopen", lambda *a: FullFile(real(*a)))
        assert main(command(tmp_path)) == 2
    assert "No space left on device; make room" in capsys.readouterr().err
    assert main(command(tmp_path)) == 0
    assert numbers(tmp_path) == whole

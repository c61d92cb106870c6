"""Standard output and error that are closed, full or not read: what is done counts, and so does
the exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TINY = (
    *("compare", "--benchmark", "split-digits", "--strategies", "si", "--executor", "serial"),
    *("--set", "train.epochs=3", "--set", "benchmark.n_experiences=2"),
    *("--set", "benchmark.fraction=0.2", "--set", "model.hidden=[8]"),
)
DIVERGING = ("--set", "train.optimizer=sgd", "--set", "train.lr=1e30")
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")


def shell(line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which ``"$@"`` is the command."""
    command = [sys.executable, "-m", "cl_strategies", *arguments]
    return subprocess.run(
        ["bash", "-c", line, "bash", *command], capture_output=True, text=True, check=False
    )


@full
@pytest.mark.parametrize("command", [("list",), ("show", "si"), ("datasets", "check")])
def test_a_full_standard_output_is_one_message(command):
    done = shell('"$@" >/dev/full', *command)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "cannot be written to standard output (No space left on device)" in done.stderr


@full
def test_the_exit_code_stays_where_nothing_can_be_said():
    assert shell('"$@" 2>/dev/full', "run", "--strategy", "nope").returncode == 2


@pytest.mark.slow
def test_a_reader_that_leaves_hides_no_failed_run(tmp_path):
    line = '("$@"; echo code=$? >&2) | true'
    done = shell(line, *TINY, *DIVERGING, "--out", str(tmp_path))
    assert "code=1" in done.stderr and "not finite" in done.stderr
    assert shell('"$@" | head -1', "list").stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&- <&-"])
def test_closed_streams_stop_no_comparison(tmp_path, closed):
    done = shell(f'"$@" {closed}', *TINY, "--out", str(tmp_path))
    assert done.returncode == 0
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 1
    assert (tmp_path / "report.html").read_bytes().endswith(b"</html>")

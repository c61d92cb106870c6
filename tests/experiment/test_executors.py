"""The same numbers from every executor; a run that dies costs only itself."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment.config import ExperimentConfig
from cl_strategies.experiment.executors import executor, process
from cl_strategies.experiment.rundir import RunDirectory
from cl_strategies.experiment.sweep import compare

TIMES = {"train_seconds"}


def configs(n=2, **train):
    return [
        ExperimentConfig.from_dict(
            {
                "benchmark": {"name": "permuted-digits", "n_experiences": 3, "fraction": 0.2},
                "strategy": {"name": "si"},
                "train": {"epochs": 2, **train},
                "run": {"seed": seed},
            }
        )
        for seed in range(n)
    ]


def numbers(out):
    """Everything a run recorded that is not a time or the memory of its process."""
    results = {}
    for path in sorted(Path(out).glob("runs/*/result.json")):
        result = json.loads(path.read_text())
        del result["seconds"], result["memory"], result["checksum"]
        result["metrics"] = {k: v for k, v in result["metrics"].items() if k not in TIMES}
        results[path.parent.name] = result
    return results


def test_serial_and_process_executors_give_the_same_numbers(tmp_path):
    for name in ("serial", "process"):
        comparison = compare(configs(), tmp_path / name, executor_name=name, jobs=2)
        assert not comparison.problems and len(comparison.records) == 2
    assert numbers(tmp_path / "serial") == numbers(tmp_path / "process")


def test_shards_divide_the_runs_and_lose_none(tmp_path):
    first = compare(configs(3), tmp_path, executor_name="serial", shard=(0, 2))
    assert len(first.records) == 2
    assert len(compare(configs(3), tmp_path, executor_name="serial", shard=(1, 2)).records) == 3


def test_finished_runs_are_not_repeated(tmp_path):
    (config,) = configs(1)
    compare([config], tmp_path, executor_name="serial")
    result = RunDirectory(tmp_path, config).result
    written = result.stat().st_mtime_ns
    compare([config], tmp_path, executor_name="serial")
    assert result.stat().st_mtime_ns == written


def test_an_executor_needs_a_known_name():
    with pytest.raises(UserError, match="did you mean process"):
        executor("proces")


def test_a_killed_worker_is_a_failed_run_and_the_others_finish(tmp_path):
    long, short = configs(1, batch_size=1)[0], configs(2)[1]
    outcomes = process([long, short], tmp_path, jobs=2)
    first = next(outcomes)
    assert first.config == short and first.problem is None
    victims = [int(p) for p in children(os.getpid()) if works_on_a_run(p)]
    assert victims
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    second = next(outcomes)
    assert second.config == long and second.problem is None
    comparison = compare([long, short], tmp_path, executor_name="serial", shard=(1, 2))
    (failed,) = comparison.failed
    assert failed.error["kind"] == "error" and "exit code -9" in failed.error["message"]
    assert list(comparison.reasons.values()) == [[long.slug]]


@pytest.mark.parametrize("name", ["serial", "process"])
def test_what_failed_meanwhile_elsewhere_is_not_done_again(tmp_path, monkeypatch, name):
    """Another process fails a run that this one has still to do: it is done, once, and a failure
    of before is tried again."""
    from cl_strategies.experiment import executors
    from cl_strategies.experiment.runner import abandon

    first, second = configs()
    abandon(first, tmp_path, "failed before")
    stamps = executors.result_stamps

    def then_another_fails(*arguments):
        found = stamps(*arguments)
        abandon(second, tmp_path, "failed elsewhere")
        return found

    monkeypatch.setattr(executors, "result_stamps", then_another_fails)
    comparison = compare([first, second], tmp_path, executor_name=name, jobs=1)
    assert [record.status for record in comparison.records] == ["finished", "failed"]
    assert comparison.reasons == {"failed elsewhere": [second.slug]}
    monkeypatch.undo()
    assert not compare([first, second], tmp_path, executor_name=name, jobs=1).failed


def children(pid):
    """All descendants of ``pid``."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [child, *children(child)]
    return found


def works_on_a_run(pid):
    parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    return int(parent) != os.getpid() and "forkserver" in Path(f"/proc/{pid}/cmdline").read_text()


def command(out):
    settings = ["train.epochs=6", "benchmark.n_experiences=4"]
    sets = [part for setting in settings for part in ("--set", setting)]
    return [
        *(sys.executable, "-m", "cl_strategies", "compare", "--benchmark", "split-digits"),
        *("--strategies", "si,replay", "--seeds", "0-1", "--out", str(out), *sets),
    ]


@pytest.mark.parametrize("waits", [(0.0, 0.6), pytest.param((0.2,) * 20, marks=pytest.mark.slow)])
def test_kill_at_any_moment_then_the_same_command_gives_the_same_numbers(tmp_path, waits):
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    out = tmp_path / "killed"
    for wait in waits:
        started = subprocess.Popen(
            command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        seen = checkpoints(out)
        while started.poll() is None and checkpoints(out) == seen:
            time.sleep(0.01)
        time.sleep(wait)
        started.kill()
        started.wait()
    finished = numbers(out)
    times = {slug: (out / "runs" / slug / "result.json").stat().st_mtime_ns for slug in finished}
    subprocess.run(command(out), check=True, capture_output=True)
    assert numbers(out) == numbers(tmp_path / "whole")
    for slug, written in times.items():
        assert (out / "runs" / slug / "result.json").stat().st_mtime_ns == written
    assert summary(out) == summary(tmp_path / "whole")


def checkpoints(out):
    return {p: p.stat().st_mtime_ns for p in Path(out).glob("runs/*/checkpoint.pt")}


def summary(out):
    rows = (Path(out) / "summary.csv").read_text().splitlines()
    return [row for row in rows if "seconds" not in row]

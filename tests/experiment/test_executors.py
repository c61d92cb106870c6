"""The same numbers from every executor; a run that dies costs only itself."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine import runner
from cl_strategies.experiment.engine.runner import abandon
from cl_strategies.experiment.sweep.compare import compare
from cl_strategies.experiment.sweep.executors import executor, process, serial

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


def test_a_run_that_is_done_keeps_no_memory(tmp_path, monkeypatch):
    begun = []

    class Watched(runner.Training):
        def __init__(self, *args):
            super().__init__(*args)
            begun.append(weakref.ref(self.data.whole))

    monkeypatch.setattr(runner, "Training", Watched)
    gc.unfreeze()  # what conftest.py has set aside
    gc.disable()
    try:
        for done, _ in enumerate(serial(configs(2), tmp_path), 1):
            assert len(begun) == done
            assert all(one() is None for one in begun)
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()
        gc.enable()


def test_serial_and_process_executors_give_the_same_numbers(tmp_path):
    for name in ("serial", "process"):
        comparison = compare(configs(), tmp_path / name, executor_name=name, jobs=2)
        assert not comparison.problems and len(comparison.records) == 2
    assert numbers(tmp_path / "serial") == numbers(tmp_path / "process")


def test_shards_divide_the_runs_and_lose_none(tmp_path):
    first = compare(configs(3), tmp_path, executor_name="serial", shard=(0, 2))
    assert len(first.records) == 2
    assert len(compare(configs(3), tmp_path, executor_name="serial", shard=(1, 2)).records) == 3


def test_a_shard_answers_for_its_own_runs(tmp_path):
    good, bad, late = configs(3)
    abandon(bad, tmp_path, "it was killed")
    mine = compare([good, bad, late], tmp_path, executor_name="serial", shard=(0, 3))
    assert not mine.failed and not mine.problems and not mine.reasons
    assert [record.status for record in mine.records] == ["finished", "failed"]
    assert mine.missing == [late.slug]


def test_a_shard_says_how_much_is_left(tmp_path, capsys):
    suite = ["compare", "--benchmark", "split-digits", "--strategies", "naive,si", "--out"]
    tiny = ["--set", "train.epochs=1", "--set", "benchmark.fraction=0.1", "--executor", "serial"]
    assert main([*suite, str(tmp_path), *tiny, "--shard", "0/2"]) == 0
    assert "1 of 2 runs have no result yet: they belong to other shards" in capsys.readouterr().err
    assert main([*suite, str(tmp_path), *tiny, "--shard", "1/2"]) == 0
    assert "no result yet" not in capsys.readouterr().err


def test_runs_wait_where_no_more_processes_can_be_started(tmp_path, monkeypatch):
    from cl_strategies.experiment.sweep import executors

    start, running = executors._start, []

    def one_at_a_time(*arguments):
        if any(child.is_alive() for child in running):
            raise OSError(24, "Too many open files")
        receiver, child = start(*arguments)
        running.append(child)
        return receiver, child

    monkeypatch.setattr(executors, "_start", one_at_a_time)
    seen = set()
    watch = {"watch": lambda config, moment: seen.add((config.slug, moment.experiences))}
    outcomes = list(process(configs(3, epochs=1), tmp_path, jobs=3, **watch))
    assert {slug for slug, _ in seen} == {outcome.config.slug for outcome in outcomes}
    assert len(outcomes) == 3 and all(outcome.problem is None for outcome in outcomes)

    def none(*arguments):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(executors, "_start", none)
    with pytest.raises(UserError, match=r"no process can be started \(Too many open files\)"):
        next(process(configs(1), tmp_path / "none"))


@pytest.mark.parametrize("jobs", [0, -1, "a", 1.5, True])
def test_jobs_are_a_number_of_runs(tmp_path, jobs):
    with pytest.raises(UserError, match="give at least 1"):
        compare(configs(1), tmp_path, jobs=jobs)


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
    failed = RunDirectory(tmp_path, long).record()
    assert failed.error["kind"] == "error" and "exit code -9" in failed.error["message"]


@pytest.mark.parametrize("name", ["serial", pytest.param("process", marks=pytest.mark.slow)])
def test_what_failed_meanwhile_elsewhere_is_not_done_again(tmp_path, monkeypatch, name):
    """Another process fails a run that this one has still to do: it is done, once, and a failure
    of before is tried again."""
    from cl_strategies.experiment.sweep import executors

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


@pytest.mark.slow
@pytest.mark.parametrize("waits", [(0.0, 0.6), (0.2,) * 20])
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

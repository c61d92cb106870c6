"""SIGKILL at any moment of training, checkpointing and reporting; then the same command again."""

from __future__ import annotations

import multiprocessing
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from cl_strategies.cli import main
from cl_strategies.experiment.sweep.executors import _context

VICTIM = str(Path(__file__).with_name("victim.py"))
#: Long enough that kills find training, evaluation, checkpoints and the report.
LONGER = ("train.epochs=4", "benchmark.n_experiences=5", "model.hidden=[8]")


def start(arguments, step="fsync", at=None):
    """The command in a new process, forked from one that has imported everything."""
    options = {"ARGUMENTS": arguments, "STEP": step, "AT": at}
    child = _context().Process(
        target=runpy.run_path, args=(VICTIM, options), kwargs={"run_name": "victim"}, daemon=True
    )
    child.start()
    return child


def finish(arguments):
    child = start(arguments)
    child.join(900)
    assert child.exitcode == 0


def stage(out):
    """How far a killed comparison had come."""
    results = len(list(out.glob("runs/*/result.json")))
    if (out / "report.html").exists():
        return "done"
    if results == 2:
        return "reporting"
    return "training" if list(out.glob("runs/*/checkpoint.pt")) else "starting"


def one_kill(out, arguments, wait):
    """Whether the command was still at work when it was killed."""
    child = start(arguments)
    child.join(wait)
    at_work = child.exitcode is None
    child.kill()
    child.join()
    return at_work


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 100])
def test_the_command_is_killed_at_random_points(kills, tmp_path, command, numbers):
    whole = tmp_path / "whole"
    finish(["list"])  # the process that others are forked from starts
    began = time.monotonic()
    finish(command(whole, settings=LONGER))
    duration = time.monotonic() - began

    chance, done, stages, round_ = random.Random(7), 0, Counter(), 0
    while done < kills:
        round_ += 1
        out = tmp_path / f"killed{round_}"
        # A few kills in one folder, then it must come to its end, and a new one begins.
        for _ in range(min(chance.randrange(1, 6), kills - done)):
            wait = chance.uniform(0, duration)
            if one_kill(out, command(out, settings=LONGER), wait):
                done += 1
                stages[stage(out)] += 1
        finish(command(out, settings=LONGER))
        assert numbers(out) == numbers(whole)
        assert [p for p in out.glob("runs/*/.*") if p.name != ".lock"] == []
        shutil.rmtree(out)
    assert done == kills
    if kills >= 100:
        assert set(stages) >= {"starting", "training", "reporting"}, stages


@pytest.mark.parametrize(
    ("every", "strategies"),
    [
        pytest.param(26, "si,replay", marks=pytest.mark.slow),
        pytest.param(1, "si,replay", marks=pytest.mark.slow),
        pytest.param(1, "compressed-replay", marks=pytest.mark.slow),  # which leaves pictures, too
    ],
)
@pytest.mark.parametrize("step", [pytest.param("fsync", marks=pytest.mark.slow), "replace"])
def test_the_command_is_killed_at_each_step_of_writing(
    step, every, strategies, tmp_path, command, numbers
):
    """Before the n-th sync and before the n-th rename, always one step further."""
    more = ("--executor", "serial", "--strategies", strategies)
    finish(command(tmp_path / "whole", *more))
    whole, drawn = numbers(tmp_path / "whole"), pictures(tmp_path / "whole")
    assert bool(drawn) == (strategies == "compressed-replay")
    at, killed = 0, 0
    while True:
        out = tmp_path / str(at)
        child = start(command(out, *more), step=step, at=at)
        child.join(900)
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        killed += 1
        finish(command(out, *more))
        assert numbers(out) == whole and pictures(out) == drawn
        assert [p for p in out.glob("runs/*/.*") if p.name != ".lock"] == []
        at += every
    assert killed >= 8 * len(strategies.split(",")) // every


@pytest.mark.slow  # in one process: tests/experiment/directory/test_rerun.py
@pytest.mark.parametrize("every", [160, 1])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_doing_runs_again_is_killed_at_each_step_of_writing(
    step, every, tmp_path, command, numbers
):
    """The old results are there after the kill, and the same command comes to its end."""
    done = tmp_path / "done"
    finish(command(done))
    whole, at = numbers(done), 3
    while True:
        out = tmp_path / str(at)
        shutil.copytree(done, out)
        again = command(out, "--executor", "serial", "--rerun")
        child = start(again, step=step, at=at)
        child.join(900)
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL and numbers(out) == whole
        finish(again)
        assert numbers(out) == whole and not list(out.glob("runs/*/again"))
        assert [p for p in out.glob("runs/**/.*") if p.name != ".lock"] == []
        stamps = [(out / "runs" / name / "result.json").stat() for name in whole if "-" in name]
        old = [(done / "runs" / name / "result.json").stat() for name in whole if "-" in name]
        assert all(new.st_mtime_ns > was.st_mtime_ns for new, was in zip(stamps, old, strict=True))
        at += every
    assert at > 3


def pictures(out):
    return {path.parent.name: path.read_bytes() for path in out.glob("runs/*/exemplars.png")}


def test_workers_are_killed_at_random_points(
    tmp_path, command, numbers, whole, worker_kills, capsys
):
    """The command answers 1 and names the run each time; the last one has all the numbers."""
    chance, done, round_ = random.Random(3), 0, 0
    while done < worker_kills:
        round_ += 1
        out = tmp_path / f"out{round_}"
        while True:
            stop = threading.Event()
            killed: list[int] = []
            wait = chance.uniform(0.0, 0.6) if done + len(killed) < worker_kills else 1e9
            killer = threading.Thread(target=kill_a_worker, args=(wait, stop, killed))
            killer.start()
            code = main(command(out, "--executor", "process", "--jobs", "2"))
            stop.set()
            killer.join()
            done += len(killed)
            if code == 0:
                break
            assert code == 1 and killed
            assert "exit code -9" in capsys.readouterr().err
        assert numbers(out) == whole
        shutil.rmtree(out)


@pytest.fixture(params=[2, pytest.param(100, marks=pytest.mark.slow)])
def worker_kills(request):
    return request.param


def kill_a_worker(wait, stop, killed):
    if stop.wait(wait):
        return
    for child in multiprocessing.active_children():
        if child.pid != os.getpid() and child.is_alive():
            child.kill()
            killed.append(child.pid)
            return


SHARED = """
import os, sys, time
from cl_strategies.cli import main
from cl_strategies.experiment.engine.training import Training

proceed = Training.proceed

def noted(self, progress):
    with open(sys.argv[1], "a") as log:
        log.write(f"{os.getpid()} {self.config.slug}\\n")
    while len({line.split()[0] for line in open(sys.argv[1])}) < 2:
        time.sleep(0.05)  # until the other command has a run as well
    return proceed(self, progress)

Training.proceed = noted
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_two_commands_on_one_folder_share_the_runs_and_do_none_twice(tmp_path, command, numbers):
    more = ("--seeds", "0-2", "--executor", "serial")
    out, log = tmp_path / "out", tmp_path / "log"
    arguments = command(out, *more)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", SHARED, str(log), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    assert [process.wait(900) for process in both] == [0, 0]
    starts = [line.split() for line in log.read_text().splitlines()]
    runs = [slug for _, slug in starts]
    assert len(runs) == 6 and len(set(runs)) == 6
    assert len({process for process, _ in starts}) == 2
    assert main(command(tmp_path / "alone", *more)) == 0
    assert numbers(out) == numbers(tmp_path / "alone")

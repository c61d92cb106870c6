"""Who waits for a run says so, and for whom; what happens to a lock undoes no result."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import threading
import time

import pytest
from filelock import FileLock

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory import run_lock as ownership
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.directory.run_lock import Owner, RunBusyError, RunLock, owner_of
from cl_strategies.experiment.engine.runner import run

GOOD = {"pid": 12, "host": "node-1.example", "since": 1.6e9}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a-run" / ".lock"


@pytest.fixture
def held(path):
    """Hold the lock in another thread, which is as good as another process, until told."""
    taken, done = threading.Event(), threading.Event()

    def hold():
        lock = RunLock(path)
        lock.acquire()
        taken.set()
        done.wait(60)
        lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(60)
    yield done
    done.set()
    thread.join()


@pytest.fixture
def waiting(path, monkeypatch):
    """A thread that waits for the lock and has said so ``count`` times, and what it said."""
    monkeypatch.setattr(ownership, "FIRST_WORD", 0.01)

    def wait(count=1):
        said, enough = [], threading.Event()

        def warning(message, *arguments):
            said.append(message % arguments)
            if len(said) == count:
                enough.set()

        monkeypatch.setattr(ownership.logger, "warning", warning)
        lock = RunLock(path)
        thread = threading.Thread(target=lambda: (lock.acquire(), lock.release()), daemon=True)
        thread.start()
        assert enough.wait(60)
        return thread, said

    return wait


def test_who_waits_says_for_whom_and_since_when(path, held, waiting):
    thread, said = waiting()
    assert thread.is_alive()
    held.set()
    thread.join(60)
    assert not thread.is_alive()
    (message,) = said  # the second word would come after a minute
    assert message.startswith(f"waiting for {path.parent}, which another process is doing: ")
    assert f"process {os.getpid()} on {socket.gethostname()}, since 2" in message
    assert message.endswith("second so far") or message.endswith("seconds so far")
    assert owner_of(path) is None and path.read_bytes() == b""  # no name of a host stays


def test_it_is_said_again_after_twice_the_time(path, held, waiting, monkeypatch):
    monkeypatch.setattr(ownership, "SECOND_WORD", 0.1)
    began = time.monotonic()
    thread, _ = waiting(4)
    assert time.monotonic() - began > 0.4
    held.set()
    thread.join(60)


def test_who_does_not_wait_is_told_whose_it_is(path, held):
    with pytest.raises(RunBusyError, match=rf"is doing .*a-run \(process {os.getpid()} on "):
        RunLock(path).acquire(wait=False)


def test_a_lock_of_another_program_is_waited_for_as_well(path):
    path.parent.mkdir()
    with FileLock(path), pytest.raises(RunBusyError, match="its lock does not say which"):
        RunLock(path).acquire(wait=False)
    lock = RunLock(path)
    lock.acquire(wait=False)
    with pytest.raises(TimeoutError):
        threaded(lambda: FileLock(path).acquire(timeout=0))
    lock.release()


def threaded(call):
    """What ``call`` raises in a thread of its own."""
    raised = []

    def work():
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    for error in raised:
        raise error


def test_nobody_waits_for_himself(path):
    lock = RunLock(path)
    lock.acquire()
    with pytest.raises(RunBusyError, match=f"process {os.getpid()} on"):
        RunLock(path).acquire(wait=True)
    lock.release()
    RunLock(path).acquire(wait=False)


def test_an_owner_is_read_back(path):
    path.parent.mkdir()
    path.write_text(json.dumps(GOOD))
    assert owner_of(path) == Owner(12, "node-1.example", 1.6e9)
    assert str(owner_of(path)).startswith("process 12 on node-1.example, since 2020-09-1")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04\x95garbage",
        b"[" * 4000,
        b"null",
        b"[1, 2]",
        b'"text"',
        b"{}",
        b" " * 5000 + json.dumps(GOOD).encode(),
        *(
            json.dumps({**GOOD, key: value}).encode()
            for key, value in [
                ("pid", -1),
                ("pid", True),
                ("pid", 10**400),
                ("pid", "12"),
                ("host", ""),
                ("host", "a\x1b]0;title\x07"),
                ("host", "a b; process 1"),
                ("host", "x" * 300),
                ("host", 5),
                ("host", "a\n"),
                ("since", float("nan")),
                ("since", float("inf")),
                ("since", -5),
                ("since", 10**400),
                ("since", True),
                ("since", "now"),
            ]
        ),
    ],
    ids=range(24),
)
def test_what_is_no_owner_is_none_and_the_lock_can_be_taken(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    assert owner_of(path) is None
    lock = RunLock(path)
    lock.acquire(wait=False)
    assert owner_of(path).pid == os.getpid()
    lock.release()


def test_a_lock_that_is_a_link_or_a_pipe_is_refused(path, tmp_path):
    path.parent.mkdir()
    (tmp_path / "precious").write_text("mine")
    path.symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        RunLock(path).acquire()
    assert (tmp_path / "precious").read_text() == "mine"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        RunLock(path).acquire()


def test_a_lock_file_that_is_deleted_guards_nothing(path, held, waiting):
    thread, _ = waiting()
    path.unlink()
    thread.join(60)
    assert not thread.is_alive()


def test_a_process_that_the_owner_has_forked_does_not_hold_it(path):
    lock = RunLock(path)
    lock.acquire()
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    try:
        os.close(lock._descriptor)  # as the system does when the owner is killed
        ownership._held.clear()
        for _ in range(100):  # until the child has begun
            try:
                RunLock(path).acquire(wait=False)
                break
            except RunBusyError:
                time.sleep(0.05)
        else:
            pytest.fail("the child holds the lock")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ESTALE, errno.EIO])
def test_a_lock_that_cannot_be_given_back_costs_no_result(code, tmp_path, monkeypatch, caplog):
    made = ExperimentConfig.from_dict(
        {
            "benchmark": {"name": "split-digits", "n_experiences": 2, "fraction": 0.1},
            "model": {"hidden": [4]},
            "strategy": {"name": "naive"},
            "train": {"epochs": 1},
        }
    )
    flock = fcntl.flock

    def failing(descriptor, operation):
        if operation == fcntl.LOCK_UN:
            raise OSError(code, os.strerror(code))
        return flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", failing)
    assert run(made, tmp_path).finished
    (said,) = [message for message in caplog.messages if "could not be given back" in message]
    directory = RunDirectory(tmp_path, made)
    assert os.strerror(code) in said and str(directory.lock) in said and "delete the file" in said
    assert directory.record().finished
    threaded(lambda: RunLock(directory.lock).acquire(wait=False))  # it is free all the same


def test_an_error_in_the_run_comes_before_one_of_its_lock(tmp_path, monkeypatch):
    made = ExperimentConfig.from_dict(
        {"benchmark": {"name": "split-digits"}, "strategy": {"name": "naive"}}
    )
    monkeypatch.setattr(
        ownership, "unlock_descriptor", lambda descriptor: (_ for _ in ()).throw(OSError(5, "x"))
    )
    with pytest.raises(UserError, match="of the run"), RunDirectory(tmp_path, made).owned():
        raise UserError("of the run")

"""Where the runs of a comparison are computed: in this process, in several on this machine, or
on a Ray cluster.

An executor takes configs and yields an :class:`Outcome` for each as it ends. Results travel
through the run directories, so that an executor that dies loses nothing. A run that another
process is doing is left to it, and looked at again after all others. A run that failed before
is tried again; one that has failed since, in another process, is not.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.engine.watching import Moment, Watch, sparingly
from cl_strategies.experiment.identity.given_benchmarks import Parcel, parcel_of, receive
from cl_strategies.experiment.setup import portable
from cl_strategies.experiment.setup.environment import usable_cores
from cl_strategies.experiment.sweep.attempts import (
    Answer,
    Outcome,
    Watching,
    attempt,
    end_of_process,
    lost,
    result_stamps,
)

#: Seconds in which a process ends that has done its run; what it started may keep it alive.
ENDS_WITHIN = 30.0


class Executor(Protocol):
    """``jobs``: runs at a time; as many as there are cores for, if ``None``.

    ``watch``: told where runs are, by who can tell.
    """

    def __call__(
        self,
        configs: Sequence[ExperimentConfig],
        out: Path,
        *,
        jobs: int | None = None,
        watch: Watching | None = None,
    ) -> Iterator[Outcome]: ...


def serial(
    configs: Sequence[ExperimentConfig],
    out: Path,
    *,
    jobs: int | None = None,
    watch: Watching | None = None,
) -> Iterator[Outcome]:
    """Do one run after the other in this process; portable runs in others, if it is not
    portable."""
    later = []
    stamps = result_stamps(configs, out)
    apart = [config for config in configs if config.run.portable and not portable.is_active()]
    with _freeing() as free:

        def once(config: ExperimentConfig, *, wait: bool) -> Answer:
            repeat, told = stamps[config.hash], _of_one(config, watch)
            answer = attempt(config, out, wait=wait, repeat=repeat, watch=told)
            free()
            return answer

        for config in configs:
            if config in apart:
                continue
            answer = once(config, wait=False)
            if answer.again:
                later.append(config)
            else:
                yield Outcome(config, answer.problem)
        for config in later:
            yield Outcome(config, once(config, wait=True).problem)
    if apart:
        yield from process(apart, out, jobs=1, watch=watch)


@contextmanager
def _freeing() -> Iterator[Callable[[], None]]:
    """Yield what frees the memory of a run that is done.

    A strategy and its plugins refer to each other, and Python seldom looks for such circles: runs
    with all their images would pile up. What is alive is set aside meanwhile, so that looking is
    quick, unless the caller has set something aside.
    """
    others = gc.get_freeze_count() > 0

    def free() -> None:
        gc.collect()
        if not others:
            gc.freeze()

    try:
        if not others:
            gc.freeze()
        yield free
    finally:
        if not others:
            gc.unfreeze()


def _of_one(config: ExperimentConfig, watch: Watching | None) -> Watch | None:
    return None if watch is None else sparingly(partial(watch, config))


def process(
    configs: Sequence[ExperimentConfig],
    out: Path,
    *,
    jobs: int | None = None,
    watch: Watching | None = None,
) -> Iterator[Outcome]:
    """Each run in a process of its own, ``jobs`` at a time.

    A process that is killed costs its own run only. When this process dies, its children end.
    """
    parcels = {config.hash: parcel_of(config.benchmark) for config in configs}
    contexts = {kind: _context(kind) for kind in {config.run.portable for config in configs}}
    jobs = jobs or default_jobs(max((config.run.threads for config in configs), default=1))
    stamps = result_stamps(configs, out)
    waiting = [(config, False) for config in reversed(configs)]
    running: dict[Connection, tuple[ExperimentConfig, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                config, wait_for_others = waiting.pop()
                how = {"wait": wait_for_others, "repeat": stamps[config.hash]}
                run = (config, parcels[config.hash])
                how["watched"] = watch is not None
                try:
                    receiver, child = _start(contexts[config.run.portable], run, out, how)
                except OSError as error:
                    if not running:
                        raise UserError(
                            f"no process can be started ({error.strerror}): end others, or allow "
                            "more open files and processes with ulimit"
                        ) from error
                    waiting.append((config, wait_for_others))
                    jobs = len(running)
                    break
                running[receiver] = (config, child)
            for receiver in _ready(running):
                config, child = running[receiver]
                said = _said(receiver, partial(watch, config) if watch else None)
                if isinstance(said, Moment) and child.exitcode is None:
                    continue
                del running[receiver]
                answer = _answer(receiver, child, said) or lost(
                    config, out, end_of_process(child.exitcode), repeat=stamps[config.hash]
                )
                if answer.again:
                    waiting.insert(0, (config, True))
                else:
                    yield Outcome(config, answer.problem)
    finally:
        for _, child in running.values():
            child.kill()


def _start(
    context: Any, run: tuple[ExperimentConfig, Parcel | None], out: Path, how: dict[str, Any]
) -> tuple[Connection, Any]:
    """Return a process that does a run, and where it says how that went.

    :param run: its configuration, and its benchmark if that is an object.
    :raises OSError: if there are too many open files or processes.
    """
    receiver, sender = context.Pipe(duplex=False)
    try:
        config, parcel = run
        arguments = (config.to_tables(), parcel, str(out), how, sender)
        child = context.Process(target=_child, args=arguments, daemon=True)
        with portable.started(config.run.portable):
            child.start()
    except BaseException:
        receiver.close()
        raise
    finally:
        sender.close()
    return receiver, child


EXECUTORS: dict[str, Executor] = {"process": process, "serial": serial}


def executor(name: str, **options: Any) -> Executor:
    """Return an executor by its name: ``"process"``, ``"serial"`` or ``"ray"``.

    :param options: of :class:`~cl_strategies.experiment.sweep.ray_executor.RayExecutor`; those that
        are ``None`` keep their defaults.
    :raises UserError: for an unknown name, or for options of another executor.
    """
    if name not in {*EXECUTORS, "ray"}:
        raise unknown_name("executor", name, {*EXECUTORS, "ray"})
    given = {key: value for key, value in options.items() if value is not None}
    if name == "ray":
        from cl_strategies.experiment.sweep.ray_executor import RayExecutor

        return RayExecutor(**given)
    if given:
        raise UserError(f"{', '.join(given)}: only the ray executor has it; give --executor ray")
    return EXECUTORS[name]


def default_jobs(threads: int) -> int:
    """As many runs at a time as there are cores for their threads."""
    return max(1, usable_cores() // threads)


#: Whether the process that others are forked from was started for portable runs.
_server: list[bool] = []


def _context(for_portable: bool = False) -> Any:
    """Processes forked from one that has imported everything, where the system can.

    There is one such process, whose kernels are chosen; the other kind of runs is spawned.
    """
    known = "forkserver" in multiprocessing.get_all_start_methods()
    if not known or _server not in ([], [for_portable]):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cl_strategies.experiment.engine.runner"])
    # Ctrl-C goes to every process of the terminal; this one ends the others, which say nothing.
    resource_tracker.ensure_running()  # else it starts below, and lets the signal in
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with portable.started(for_portable):
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _server[:] = [for_portable]
    return context


def _child(
    tables: dict[str, Any],
    parcel: Parcel | None,
    out: str,
    how: dict[str, Any],
    sender: Connection,
) -> None:
    watch = sparingly(partial(_send, sender)) if how.pop("watched") else None
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Ctrl-C is the parent's, which ends its children: here it would come from the run itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    receive(parcel)
    sender.send(attempt(ExperimentConfig.from_dict(tables), Path(out), **how, watch=watch))
    sender.close()


def _send(sender: Connection, moment: Moment) -> None:
    with suppress(OSError):  # without a parent this process ends, and needs no other reason to
        sender.send(moment)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _ready(running: dict[Connection, tuple[ExperimentConfig, Any]]) -> list[Connection]:
    """Yield where a process has answered or ended; what it started may live on, and hold its end
    of the connection open."""
    while True:
        sentinels = [child.sentinel for _, child in running.values()]
        heard = wait([*running, *sentinels], timeout=1.0)
        ready = [
            receiver
            for receiver, (_, child) in running.items()
            if receiver in heard or child.exitcode is not None
        ]
        if ready:
            return ready


def _said(receiver: Connection, watch: Watch | None) -> Moment | Answer | None:
    """Return the last that a process has said by now, and tell ``watch`` of all moments; ``None``
    if it says nothing any more."""
    said: Moment | Answer | None = None
    while True:
        try:
            if not receiver.poll():
                return said
            said = receiver.recv()
        except Exception:  # it ended before it had said all, or closed the connection
            return None
        if not isinstance(said, Moment):
            return said
        if watch is not None:
            watch(said)


def _answer(receiver: Connection, child: Any, said: Moment | Answer | None) -> Answer | None:
    """Return what the process said last; ``None`` if it ended without a word on how."""
    answer = said if isinstance(said, Answer) else None
    receiver.close()
    child.join(None if answer is None else ENDS_WITHIN)
    if child.exitcode is None:  # it has done its run, and waits for threads that the run started
        child.kill()
        child.join()
    return answer

"""Where the runs of a comparison are computed: in this process, or in several on this machine.

An executor takes configs and yields an :class:`Outcome` for each as it ends. Results travel
through the run directories, so that an executor that dies loses nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.experiment.config import ExperimentConfig
from cl_strategies.experiment.environment import usable_cores


@dataclass(frozen=True)
class Outcome:
    """How one run ended: ``problem`` is ``None`` if it left a result (finished or failed)."""

    config: ExperimentConfig
    problem: str | None = None


class Executor(Protocol):
    def __call__(
        self, configs: Sequence[ExperimentConfig], out: Path, *, jobs: int
    ) -> Iterator[Outcome]: ...


def serial(configs: Sequence[ExperimentConfig], out: Path, *, jobs: int = 1) -> Iterator[Outcome]:
    """One run after the other in this process."""
    for config in configs:
        yield Outcome(config, _attempt(config, out))


def process(configs: Sequence[ExperimentConfig], out: Path, *, jobs: int) -> Iterator[Outcome]:
    """Each run in a process of its own, ``jobs`` at a time.

    A process that is killed costs its own run only. When this process dies, its children end.
    """
    context = _context()
    waiting = list(reversed(configs))
    running: dict[Connection, tuple[ExperimentConfig, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                config = waiting.pop()
                receiver, sender = context.Pipe(duplex=False)
                child = context.Process(
                    target=_child, args=(config.to_dict(), str(out), sender), daemon=True
                )
                child.start()
                sender.close()
                running[receiver] = (config, child)
            for receiver in wait(list(running)):
                config, child = running.pop(receiver)  # type: ignore[index]
                problem = _answer(receiver, child)  # type: ignore[arg-type]
                yield Outcome(config, problem)
    finally:
        for _, child in running.values():
            child.kill()


EXECUTORS: dict[str, Executor] = {"process": process, "serial": serial}


def executor(name: str) -> Executor:
    """:raises UserError: for an unknown name."""
    if name not in EXECUTORS:
        raise unknown_name("executor", name, EXECUTORS)
    return EXECUTORS[name]


def default_jobs(threads: int) -> int:
    """As many runs at a time as there are cores for their threads."""
    return max(1, usable_cores() // threads)


def _context() -> Any:
    """Processes forked from one that has imported everything, where the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cl_strategies.experiment.runner"])
    return context


def _attempt(config: ExperimentConfig, out: Path) -> str | None:
    from cl_strategies.experiment.runner import run

    try:
        run(config, out)
    except UserError as error:
        return str(error)
    return None


def _child(tables: dict[str, Any], out: str, sender: Connection) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sender.send(_attempt(ExperimentConfig.from_dict(tables), Path(out)))
    sender.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _answer(receiver: Connection, child: Any) -> str | None:
    try:
        problem = receiver.recv()
    except EOFError:
        child.join()
        problem = (
            f"its process ended with exit code {child.exitcode} before the run did "
            "(out of memory, or killed); the same command continues it"
        )
    receiver.close()
    child.join()
    return problem

"""Runs on Ray: on this machine by itself, or on the nodes of a cluster behind an address.

Results travel through the run directories, so ``out`` must be on a file system that every node
sees; a run whose node is lost continues on another node from its last checkpoint.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.errors.failure import text_of
from cl_strategies.experiment.config.run_config import ExperimentConfig, Named
from cl_strategies.experiment.directory.rerun import last_progress
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.identity.given_benchmarks import (
    Packed,
    packed,
    parcel_of,
    receive,
    unpacked,
)
from cl_strategies.experiment.setup.environment import usable_cores
from cl_strategies.experiment.setup.portable import VARIABLES
from cl_strategies.experiment.sweep.attempts import (
    Answer,
    Outcome,
    Watching,
    attempt,
    lost,
    result_stamps,
)

logger = logging.getLogger(__name__)

#: Losses of a run in a row, with no experience finished in between, before it is given up.
RETRIES = 3
#: Seconds until a file that another node has written must be seen here.
VISIBLE_WITHIN = 60.0
#: Seconds in which a cluster answers that it is one.
ANSWERS_WITHIN = 30.0
_OBJECT_STORE = 100 * 2**20  # beside benchmarks that are objects, a word per run goes through it


@dataclass(frozen=True)
class RayExecutor:
    """An executor that asks Ray for each run's
    ``run.threads`` CPUs, and for a GPU if its device is ``cuda`` (or ``auto``, where the cluster
    has GPUs).

    :param address: of a running cluster, such as ``"10.0.0.1:6379"``; ``None``: the one that the
        environment variable ``RAY_ADDRESS`` names, or else one that is started on this machine,
        reached from this machine only, and ended with the comparison.
    :param gpus: GPUs per run; a fraction lets runs share one.
    """

    address: str | None = None
    gpus: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.gpus < float("inf") or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise UserError(f"{self.gpus} GPUs per run: give 1, or a fraction such as 0.25")

    def __call__(
        self,
        configs: Sequence[ExperimentConfig],
        out: Path,
        *,
        jobs: int | None = None,
        watch: Watching | None = None,
    ) -> Iterator[Outcome]:
        """
        :param watch: not told anything: nothing but a word per run goes through the cluster.
        :raises UserError: if Ray is not installed or not reached, or no node fits a run."""
        address = self.address or os.environ.get("RAY_ADDRESS")
        ray = _import_ray(local=address is None)
        ours = not ray.is_initialized()
        if ours:
            parcels = {parcel_of(config.benchmark) for config in configs} - {None}
            size = sum(os.path.getsize(parcel.file) for parcel in parcels if parcel is not None)
            _connect(ray, address, max(config.run.threads for config in configs), size)
        requests, stamps = self._requests(ray, configs), result_stamps(configs, out)
        tasks = _Tasks(ray, out.absolute(), requests, stamps)
        try:
            yield from tasks.outcomes(configs, jobs or len(configs))
        finally:
            tasks.cancel()
            if ours:
                ray.shutdown()

    def _requests(
        self, ray: Any, configs: Sequence[ExperimentConfig]
    ) -> dict[str, tuple[int, float]]:
        """CPUs and GPUs of each run, by its hash."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        has_gpus = any(node.get("GPU") for node in nodes)
        requests = {}
        for config in configs:
            device = config.run.device
            if device.startswith("cuda:"):
                raise UserError(f"run.device is {device!r}: write cuda, Ray chooses among the GPUs")
            gpu = self.gpus if device == "cuda" or (device == "auto" and has_gpus) else 0.0
            wanted = {"CPU": config.run.threads, "GPU": gpu}
            if not any(all(n.get(k, 0) >= v for k, v in wanted.items()) for n in nodes):
                raise UserError(
                    f"no node of the Ray cluster has {wanted['CPU']} CPUs and {gpu:g} GPUs, which "
                    f"{config.slug} asks for: change run.threads or run.device, or add a node"
                )
            requests[config.hash] = (config.run.threads, gpu)
        return requests


@dataclass
class _Tasks:
    """The runs that Ray has now.

    :param requests: CPUs and GPUs by the hash of the run.
    :param stamps: see :func:`~cl_strategies.experiment.sweep.attempts.result_stamps`.
    """

    ray: Any
    out: Path
    requests: dict[str, tuple[int, float]]
    stamps: dict[str, int]
    running: dict[Any, ExperimentConfig] = field(default_factory=dict)
    losses: dict[str, tuple[int, int]] = field(default_factory=dict)
    functions: dict[tuple[int, float, bool], Any] = field(default_factory=dict)
    sent: dict[str, Any] = field(default_factory=dict)

    def outcomes(self, configs: Sequence[ExperimentConfig], at_once: int) -> Iterator[Outcome]:
        waiting = [(config, False) for config in reversed(configs)]
        while waiting or self.running:
            while waiting and len(self.running) < at_once:
                self._submit(*waiting.pop())
            (done,), _ = self.ray.wait(list(self.running), num_returns=1)
            config = self.running.pop(done)
            answer = self._answer(done, config)
            if answer.again:
                waiting.insert(0, (config, True))
            else:
                yield Outcome(config, answer.problem)

    def cancel(self) -> None:
        for reference in self.running:
            self.ray.cancel(reference, force=True)

    def _submit(self, config: ExperimentConfig, wait: bool) -> None:
        request = (*self.requests[config.hash], config.run.portable)
        if request not in self.functions:
            cpus, gpus, portable = request
            # Workers serve run after run, also with a GPU: importing everything takes seconds.
            # Losses are counted here, where it is seen whether a run has got any further.
            self.functions[request] = self.ray.remote(
                num_cpus=cpus,
                num_gpus=gpus,
                max_calls=0,
                max_retries=0,
                runtime_env={"env_vars": VARIABLES} if portable else None,
            )(work)
        tables = _at_home(config).to_tables()
        how = {"wait": wait, "repeat": self.stamps[config.hash]}
        arguments = (tables, config.slug, str(self.out), how, self._sent(config.benchmark))
        reference = self.functions[request].remote(*arguments)
        self.running[reference] = config

    def _sent(self, benchmark: Named) -> Any:
        """Return a reference to the bytes of a benchmark that is an object, sent once."""
        parcel = parcel_of(benchmark)
        if parcel is None:
            return None
        if parcel.file not in self.sent:
            self.sent[parcel.file] = self.ray.put(packed(parcel))
        return self.sent[parcel.file]

    def _answer(self, reference: Any, config: ExperimentConfig) -> Answer:
        try:
            answer = Answer(*self.ray.get(reference))
        except self.ray.exceptions.RayTaskError as error:
            cause = text_of(error.cause)
            return Answer(f"it could not start on its node ({cause}): install cl-strategies")
        except self.ray.exceptions.RayError as error:
            return self._lost(config, error)
        directory = RunDirectory(self.out, config)
        if answer.again:  # its worker waits for it later, and is not heard here
            whose = directory.owner() or "which does not say who it is"
            logger.warning("%s: another process is doing it (%s), waited for", config.slug, whose)
        if answer == Answer() and not _visible(directory.result):
            return Answer(
                f"its node has written {directory.result}, but it is not seen here: give an --out "
                "on a file system that all nodes share"
            )
        return answer

    def _lost(self, config: ExperimentConfig, error: Exception) -> Answer:
        count, before = self.losses.get(config.hash, (0, 0))
        now = last_progress(config, self.out)
        count = count + 1 if now == before else 1
        self.losses[config.hash] = (count, now)
        if count <= RETRIES:
            return Answer(again=True)
        what = str(error).strip().partition("\n")[0] or type(error).__name__
        reason = (
            f"its node, or its process there, was lost {count} times ({what}); the same command "
            "continues it"
        )
        return lost(config, self.out, reason, repeat=self.stamps[config.hash])


def work(
    tables: dict[str, Any],
    slug: str,
    out: str,
    how: dict[str, Any],
    sent: Packed | None = None,
) -> tuple[str | None, bool]:
    """Do one run on a node; the fields of an :class:`Answer`.

    :param sent: its benchmark, if that is an object.
    """
    receive(None if sent is None else unpacked(sent))
    config = ExperimentConfig.from_dict(tables)
    if config.slug != slug:
        return f"its node has another version of cl-strategies, which calls it {config.slug}", False
    answer = attempt(config, Path(out), **how)
    if config.run.device != "cpu":
        import torch

        with suppress(RuntimeError):  # of a device that the run has broken
            torch.cuda.empty_cache()  # the next run on this GPU may be another worker's
    return answer.problem, answer.again


def _at_home(config: ExperimentConfig) -> ExperimentConfig:
    """Let a relative ``data_root`` count from here, not from where a node happens to be; and a
    relative ``path``, which counts from it."""
    root = config.benchmark.options.get("data_root")
    if root is None and config.benchmark.options.get("path") is not None:
        root = "."
    if not isinstance(root, str):
        return config
    options = {**config.benchmark.options, "data_root": str(Path(root).expanduser().absolute())}
    return replace(config, benchmark=Named(config.benchmark.name, options))


def _visible(path: Path) -> bool:
    """Return whether ``path`` is seen; network file systems show what others wrote after a
    while."""
    until = time.monotonic() + VISIBLE_WITHIN
    while not os.path.exists(path):
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True


def _import_ray(*, local: bool) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if local:
        # Ray's own name for "one machine": it then listens on the loopback only.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        # Its workers would give way to every other process here, as those of no other executor do.
        os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "the ray executor needs Ray, which is not installed: pip install 'cl-strategies[ray]'"
        ) from error
    return ray


def _reach(address: str) -> None:
    """Ask for the cluster in a process that can be ended: Ray waits for minutes, deaf to signals.

    :raises OSError: if nothing listens there, or no cluster answers, or not to us.
    """
    if "://" in address:
        return
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        with socket.create_connection((host, int(port)), timeout=10):
            pass
    ask = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        asked = subprocess.run(ask, capture_output=True, text=True, timeout=ANSWERS_WITHIN)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"what listens there has not answered in {ANSWERS_WITHIN:.0f} s") from error
    if "AuthenticationError" in asked.stderr:
        raise OSError(
            "it is there, but wants its token: set RAY_AUTH_MODE=token, and give this machine the "
            "cluster's ~/.ray/auth_token"
        )
    if asked.returncode:
        raise OSError(asked.stderr.strip().rpartition("\n")[2])


def _connect(ray: Any, address: str | None, threads: int, size: int) -> None:
    quiet = {"logging_level": "error", "log_to_driver": False}
    try:
        if address is not None:
            _reach(address)
            ray.init(address=address, **quiet)
            return
        ray.init(
            address="local",
            num_cpus=max(usable_cores(), threads),
            object_store_memory=_OBJECT_STORE + 2 * size,
            include_dashboard=False,
            **quiet,
        )
    except Exception as error:  # Ray raises almost anything here
        what = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(
            f"Ray does not start on this machine ({what})"
            if address is None
            else f"no Ray cluster at {address} ({what}): start one with `ray start --head` and "
            "give its HOST:PORT, or leave --address out to use this machine"
        ) from error

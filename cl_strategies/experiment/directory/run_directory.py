"""The folder of one run: what lies in it, and who may write to it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig, hash_of
from cl_strategies.experiment.directory.run_lock import Owner, RunBusyError, RunLock, owner_of
from cl_strategies.io.atomic import cannot_write, temporary_prefix, write_text
from cl_strategies.io.links import check_no_link
from cl_strategies.results.checksum import sealed
from cl_strategies.results.predictions.manifest import FOLDER, STREAMS
from cl_strategies.results.record import RunRecord, load_result, write_result

#: What lies in it; the result is written last.
FILES = (
    "config.toml",
    "environment.json",
    "metrics.jsonl",
    "checkpoint.pt",
    "exemplars.png",
    "metrics.json",
    "trace.npz",
    "model.onnx",
    "export.json",
    "result.json",
)


#: What a file system without locks answers.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


__all__ = ["RunBusyError", "RunDirectory"]


class RunDirectory:
    """``OUT/runs/<slug>``: config, environment, metrics, checkpoint and result of one run.

    :param out: folder of the comparison.
    :param config: the run; its slug ends in the config's hash and names the folder.
    :param again: ``OUT/runs/<slug>/again``, where a finished run is done again
        (:mod:`cl_strategies.experiment.directory.rerun`).
    :raises UserError: if a name in the slug would lead out of ``OUT/runs``.
    """

    def __init__(self, out: str | Path, config: ExperimentConfig, *, again: bool = False) -> None:
        if Path(config.slug).name != config.slug:
            raise UserError(f"{config.slug!r} is not the name of a folder: rename the entry")
        self.config = config
        self.again = again
        self.path = Path(out) / "runs" / config.slug / ("again" if again else "")
        self.checkpoint = self.path / "checkpoint.pt"
        self.result = self.path / "result.json"
        self.metrics = self.path / "metrics.jsonl"
        self.trace = self.path / "trace.npz"
        self.predictions = self.path / FOLDER
        self.streams = Path(out) / STREAMS
        self.lock = self.path / ".lock"

    @contextmanager
    def owned(self, *, wait: bool = True) -> Iterator[None]:
        """Hold the run. A dead owner's lock is free: the system gives it back.

        :param wait: until another process that holds the run has done with it; who that is is
            said, sparingly.
        :raises RunBusyError: if another process holds it and ``wait`` is false.
        :raises UserError: if the folder cannot be created, written to or locked.
        """
        check_no_link(self.path)
        lock = RunLock(self.lock)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(wait=wait)
        except OSError as error:
            what = (
                f"the file system of {self.path} has no locks: mount it with locks (flock), or"
                if error.errno in _NO_LOCKS
                else f"cannot write to {self.path}: {error.strerror or error};"
            )
            raise UserError(f"{what} choose another folder with --out") from error
        try:
            self.sweep()
            yield
        finally:
            lock.release()

    def owner(self) -> Owner | None:
        """Who is doing the run, or did it last and was killed, if the lock says so."""
        return owner_of(self.lock)

    def sweep(self) -> None:
        """Remove the half-written files of an owner that was killed."""
        for name in FILES:
            for left in self.path.glob(f"{temporary_prefix(name)}*"):
                try:
                    left.unlink(missing_ok=True)
                except OSError as error:
                    raise cannot_write(left, error) from error

    def record(self) -> RunRecord | None:
        """Return what result.json says, if the run has ended.

        :raises UserError: if it is damaged, or the result of another run.
        """
        if not os.path.exists(self.result):
            return None
        record = load_result(self.result)
        if {record.config_hash, hash_of(record.config)} != {self.config.hash}:
            raise UserError(
                f"{self.result}: belongs to another configuration ({record.config_hash}). "
                "Delete it and run it again."
            )
        return record

    def outcome(self, *, repeat: int | None = None) -> RunRecord | None:
        """Return the result of a run that need not be run again.

        :param repeat: the :meth:`stamp` of a result that is to be replaced if it says that the
            run failed with an error. Who failed since then has not been tried before.
        :raises UserError: if result.json is damaged.
        """
        record = self.record()
        failed = record and record.status == "failed" and (record.error or {})["kind"] == "error"
        return None if failed and self.stamp() == repeat else record

    def stamp(self) -> int | None:
        """When the result was written, in nanoseconds; ``None`` if there is none."""
        try:
            return self.result.stat().st_mtime_ns
        except OSError:
            return None

    def describe(self, environments: Sequence[dict[str, Any]]) -> None:
        """Write what is known before training.

        :param environments: of all parts of the run, that of now last.
        """
        tables = {
            name: {key: value for key, value in table.items() if value is not None}
            for name, table in self.config.to_dict().items()
        }
        write_text(self.path / "config.toml", tomli_w.dumps(tables))
        *earlier, environment = environments
        if earlier:
            environment = {**environment, "earlier": earlier}
        sealed_environment = json.dumps(sealed(environment), indent=2)
        write_text(self.path / "environment.json", f"{sealed_environment}\n")

    def conclude(self, record: RunRecord) -> RunRecord:
        """Write result.json, atomically, and return it as the next reader will see it."""
        write_result(self.result, record)
        return load_result(self.result)

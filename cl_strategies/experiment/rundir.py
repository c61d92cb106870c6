"""The folder of one run: what lies in it, and who may write to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w
from filelock import FileLock, Timeout

from cl_strategies.atomic import cannot_write, temporary_prefix, write_text
from cl_strategies.errors import UserError
from cl_strategies.experiment.config import ExperimentConfig
from cl_strategies.reports.schema import RunRecord, load_result, write_result


class RunBusyError(UserError):
    """Another process is doing this run."""


class RunDirectory:
    """``OUT/runs/<slug>``: config, environment, metrics, checkpoint and result of one run.

    :param out: folder of the comparison.
    :param config: the run; its slug ends in the config's hash and names the folder.
    :raises UserError: if a name in the slug would lead out of ``OUT/runs``.
    """

    def __init__(self, out: str | Path, config: ExperimentConfig) -> None:
        if Path(config.slug).name != config.slug:
            raise UserError(f"{config.slug!r} is not the name of a folder: rename the entry")
        self.config = config
        self.path = Path(out) / "runs" / config.slug
        self.checkpoint = self.path / "checkpoint.pt"
        self.result = self.path / "result.json"
        self.metrics = self.path / "metrics.jsonl"

    @contextmanager
    def owned(self, *, wait: bool = True) -> Iterator[None]:
        """Hold the run. A dead owner's lock is free: the system gives it back.

        :param wait: until another process that holds the run has done with it.
        :raises RunBusyError: if another process holds it and ``wait`` is false.
        :raises UserError: if the folder cannot be created, written to or locked.
        """
        lock = FileLock(self.path / ".lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout as error:
            raise RunBusyError(f"another process is doing {self.path}") from error
        except OSError as error:
            raise UserError(
                f"cannot write to {self.path}: {error.strerror or error}; "
                "choose another folder with --out"
            ) from error
        except NotImplementedError as error:
            raise UserError(
                f"the file system of {self.path} has no locks: mount it with locks (flock), or "
                "choose another folder with --out"
            ) from error
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def _sweep(self) -> None:
        """Remove the half-written files of an owner that was killed."""
        names = ("config.toml", "environment.json", "metrics.jsonl", "checkpoint.pt", "result.json")
        for name in names:
            for left in self.path.glob(f"{temporary_prefix(name)}*"):
                try:
                    left.unlink(missing_ok=True)
                except OSError as error:
                    raise cannot_write(left, error) from error

    def record(self) -> RunRecord | None:
        """What result.json says, if the run has ended.

        :raises UserError: if it is damaged, or the result of another run.
        """
        if not self.result.exists():
            return None
        record = load_result(self.result)
        if record.config_hash != self.config.hash:
            raise UserError(
                f"{self.result}: belongs to another configuration ({record.config_hash}). "
                "Delete it and run it again."
            )
        return record

    def outcome(self) -> RunRecord | None:
        """The result of a run that need not be run again: finished, or diverged.

        :raises UserError: if result.json is damaged.
        """
        record = self.record()
        if record and record.status == "failed" and (record.error or {}).get("kind") == "error":
            return None
        return record

    def describe(self, environment: dict[str, Any]) -> None:
        """Write what is known before training."""
        tables = {
            name: {key: value for key, value in table.items() if value is not None}
            for name, table in self.config.to_dict().items()
        }
        write_text(self.path / "config.toml", tomli_w.dumps(tables))
        write_text(self.path / "environment.json", json.dumps(environment, indent=2) + "\n")

    def rewrite_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Make metrics.jsonl hold exactly ``rows``: it is a log, the checkpoint has them too."""
        write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in rows))

    def append_metrics(self, row: dict[str, Any]) -> None:
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise cannot_write(self.metrics, error) from error

    def conclude(self, record: RunRecord) -> RunRecord:
        """Write result.json, atomically, and return it as the next reader will see it."""
        write_result(self.result, record)
        return load_result(self.result)

"""The folder of one run: what lies in it, and who may write to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w
from filelock import FileLock

from cl_strategies.atomic import write_text
from cl_strategies.errors import UserError
from cl_strategies.experiment.config import ExperimentConfig
from cl_strategies.reports.schema import RunRecord, load_result, write_result


class RunDirectory:
    """``OUT/runs/<slug>``: config, environment, metrics, checkpoint and result of one run.

    :param out: folder of the comparison.
    :param config: the run; its slug ends in the config's hash and names the folder.
    """

    def __init__(self, out: str | Path, config: ExperimentConfig) -> None:
        self.config = config
        self.path = Path(out) / "runs" / config.slug
        self.checkpoint = self.path / "checkpoint.pt"
        self.result = self.path / "result.json"
        self.metrics = self.path / "metrics.jsonl"

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the run; wait while another process does. A dead owner's lock is free.

        :raises UserError: if the folder cannot be created or written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            lock.acquire()
        except OSError as error:
            raise UserError(
                f"cannot write to {self.path}: {error.strerror or error}; "
                "choose another folder with --out"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def record(self) -> RunRecord | None:
        """What result.json says, if the run has ended.

        :raises UserError: if it is damaged.
        """
        return load_result(self.result) if self.result.exists() else None

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
        """Make metrics.jsonl hold exactly ``rows``."""
        write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in rows))

    def append_metrics(self, row: dict[str, Any]) -> None:
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def conclude(self, record: RunRecord) -> RunRecord:
        """Write result.json, atomically, and return it as the next reader will see it."""
        write_result(self.result, record)
        return load_result(self.result)

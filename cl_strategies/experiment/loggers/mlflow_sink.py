"""A run of MLflow, on the server that ``MLFLOW_TRACKING_URI`` names, or in files."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

from filelock import FileLock

from cl_strategies.experiment.loggers.sink import LogEntry, LoggedRun

_LONGEST_VALUE = 500
_STATES = {True: "FINISHED", False: "FAILED", None: "KILLED"}


class MlflowSink:
    """A run of the experiment ``project``, which an interrupted run continues; in
    ``logs/mlflow`` if no server is named."""

    def __init__(self, run: LoggedRun) -> None:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._metric = Metric
        where = os.environ.get("MLFLOW_TRACKING_URI")
        if not where:
            # MLflow asks whether files are really wanted; a database would be one for all workers.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            where = (run.folder / "mlflow").absolute().as_uri()
        run.folder.mkdir(parents=True, exist_ok=True)
        self.client: Any = MlflowClient(tracking_uri=where)
        if run.before:
            with suppress(Exception):  # it may be gone
                self.client.delete_run(run.before)
        if run.known:
            self.id = run.known
            self.client.update_run(self.id, status="RUNNING")
            return
        with FileLock(run.folder / ".mlflow.lock"):  # workers begin together
            found = self.client.get_experiment_by_name(run.project)
            experiment = (
                found.experiment_id if found else self.client.create_experiment(run.project)
            )
        self.id = self.client.create_run(experiment, run_name=run.slug).info.run_id
        params = [
            Param(f"{table}.{key}", str(value)[:_LONGEST_VALUE])
            for table, content in run.tables.items()
            for key, value in content.items()
        ]
        self.client.log_batch(self.id, params=params)

    def identity(self) -> str:
        return str(self.id)

    def write(self, entry: LogEntry) -> None:
        now = int(time.time() * 1000)
        metrics = [
            self._metric(name, float(value), now, entry.step)
            for name, value in entry.numbers.items()
        ]
        self.client.log_batch(self.id, metrics=metrics)

    def close(self, finished: bool | None) -> None:
        self.client.set_terminated(self.id, status=_STATES[finished])

"""A log for TensorBoard, written by Avalanche's logger."""

from __future__ import annotations

import shutil

import tomli_w
from avalanche.logging import TensorboardLogger

from cl_strategies.experiment.loggers.sink import LogEntry, LoggedRun
from cl_strategies.io.links import check_no_link


class TensorboardSink:
    """``logs/tensorboard/RUN``, beside those of the other runs of a comparison."""

    def __init__(self, run: LoggedRun) -> None:
        folder = run.folder / "tensorboard" / run.slug
        check_no_link(folder)
        if not run.known:
            shutil.rmtree(folder, ignore_errors=True)
        self.name = run.slug
        self.logger = TensorboardLogger(folder)
        if not run.known:
            tables = {
                name: {key: value for key, value in table.items() if value is not None}
                for name, table in run.tables.items()
            }
            text = tomli_w.dumps(tables).replace("\n", "\n    ")
            self.logger.writer.add_text("configuration", f"    {text}", global_step=0)

    def identity(self) -> str:
        return self.name

    def write(self, entry: LogEntry) -> None:
        for name, value in entry.numbers.items():
            self.logger.log_single_metric(name, float(value), entry.step)
        self.logger.writer.flush()

    def close(self, finished: bool | None) -> None:
        self.logger.writer.close()

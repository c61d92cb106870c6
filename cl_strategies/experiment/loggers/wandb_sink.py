"""A run of W&B.

Avalanche's ``WandBLogger`` calls functions that wandb does not have any more.
"""

from __future__ import annotations

import os
from typing import Any

from cl_strategies.experiment.loggers.sink import LogEntry, LoggedRun


class WandbSink:
    """A run of the project, which an interrupted run continues.

    :raises UserError: if there is nobody logged in, and nothing says that this is not wanted.
    """

    def __init__(self, run: LoggedRun) -> None:
        import wandb

        run.folder.mkdir(parents=True, exist_ok=True)
        self.run: Any = wandb.init(
            project=run.project,
            name=run.slug,
            id=run.known or f"{run.slug[-12:]}-{run.attempt}-{os.urandom(4).hex()}",
            resume="allow",
            dir=str(run.folder),
            config={name: dict(table) for name, table in run.tables.items()},
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
            mode="offline" if run.offline else None,
        )

    def identity(self) -> str:
        return str(self.run.id)

    def write(self, entry: LogEntry) -> None:
        numbers = {name: float(value) for name, value in entry.numbers.items()}
        self.run.log({**numbers, "experience": entry.experience}, step=entry.step)

    def close(self, finished: bool | None) -> None:
        self.run.finish(exit_code=0 if finished else 1)

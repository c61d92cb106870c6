"""Run by its path in a fresh process: one run, which ends after ``STOP`` experiences (code 3)."""

from __future__ import annotations

import os
import warnings
from typing import Any

GIVEN: dict[str, Any] = globals()

if __name__ == "stopped":
    from cl_strategies.experiment.config.run_config import ExperimentConfig
    from cl_strategies.experiment.engine.runner import run

    warnings.simplefilter("ignore")

    def progress(done: int, total: int) -> None:
        if done == GIVEN["STOP"]:
            os._exit(3)

    run(ExperimentConfig.from_dict(GIVEN["TABLES"]), GIVEN["OUT"], progress=progress)

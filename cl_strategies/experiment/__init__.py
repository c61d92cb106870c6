"""One run, then many: configurations, runs, states, comparisons; imported when first used."""

from typing import TYPE_CHECKING

from cl_strategies._lazy import lazy_exports

if TYPE_CHECKING:
    from cl_strategies.experiment.checkpoint import load_checkpoint as load_checkpoint
    from cl_strategies.experiment.checkpoint import save_checkpoint as save_checkpoint
    from cl_strategies.experiment.config import ExperimentConfig as ExperimentConfig
    from cl_strategies.experiment.rundir import RunDirectory as RunDirectory
    from cl_strategies.experiment.runner import run as run
    from cl_strategies.experiment.state import capture_state as capture_state
    from cl_strategies.experiment.state import check_resumable as check_resumable
    from cl_strategies.experiment.state import restore_state as restore_state
    from cl_strategies.experiment.state_restorable import (
        register_restorable as register_restorable,
    )
    from cl_strategies.experiment.sweep import compare as compare

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "ExperimentConfig": "cl_strategies.experiment.config",
        "RunDirectory": "cl_strategies.experiment.rundir",
        "capture_state": "cl_strategies.experiment.state",
        "check_resumable": "cl_strategies.experiment.state",
        "compare": "cl_strategies.experiment.sweep",
        "load_checkpoint": "cl_strategies.experiment.checkpoint",
        "register_restorable": "cl_strategies.experiment.state_restorable",
        "restore_state": "cl_strategies.experiment.state",
        "run": "cl_strategies.experiment.runner",
        "save_checkpoint": "cl_strategies.experiment.checkpoint",
    },
)

from .config.run_config import ExperimentConfig as ExperimentConfig
from .deployment.export_run import export_run as export_run
from .directory.run_directory import RunDirectory as RunDirectory
from .engine.runner import run as run
from .state.capture import (
    capture_state as capture_state,
)
from .state.capture import (
    check_resumable as check_resumable,
)
from .state.capture import (
    restore_state as restore_state,
)
from .state.checkpoint import load_checkpoint as load_checkpoint
from .state.checkpoint import save_checkpoint as save_checkpoint
from .state.restorable import register_restorable as register_restorable
from .sweep.compare import compare as compare

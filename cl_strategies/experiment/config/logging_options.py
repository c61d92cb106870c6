"""The table ``[logging]``: who is told of a run while it is computed. It changes no number, and is
no part of what a run is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, ClassVar

from typing_extensions import Doc

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.validation.hyperparameters import OptionGroup, documented

#: Name of a logger -> the package that it needs, and the extra that brings it; "" for none.
LOGGERS: Mapping[str, str] = {
    "csv": "",
    "mlflow": "mlflow",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
}


@documented
@dataclass(frozen=True, kw_only=True)
class LoggingOptions(OptionGroup):
    """Loggers of a run."""

    table: ClassVar[str] = "logging"

    to: Annotated[
        Sequence[str],
        Doc("Loggers: ``csv``, ``mlflow``, ``tensorboard``, ``wandb``; several may be named."),
    ] = ()
    project: Annotated[str, Doc("The project of W&B, and the experiment of MLflow.")] = (
        "cl-strategies"
    )
    offline: Annotated[
        bool,
        Doc("Keep what is for W&B on this machine; ``wandb sync`` sends it later."),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "to", tuple(dict.fromkeys(self.to)))
        for name in self.to:
            if name not in LOGGERS:
                raise unknown_name("logger", name, LOGGERS)
        if not self.project.strip():
            raise UserError("logging.project is empty: give a name, or leave it out")

    def check_installed(self) -> None:
        """:raises UserError: if a logger needs a package that is not here."""
        for name in self.to:
            if LOGGERS[name] and find_spec(LOGGERS[name]) is None:
                raise UserError(
                    f"the logger {name} needs the package {LOGGERS[name]}, which is not "
                    f"installed: pip install 'cl-strategies[{name}]'"
                )

"""Training and evaluating from memory instead of sample by sample.

Avalanche reads every sample through four nested Python calls and collates the batch afterwards,
which on in-memory data costs more than training a small network.
"""

from __future__ import annotations

import logging
import weakref
from typing import Annotated, Any

from annotated_types import Ge, Unit
from avalanche.training.plugins import SupervisedPlugin
from typing_extensions import Doc

from cl_strategies.plugins.data.flatten import NotResident
from cl_strategies.plugins.data.loader import ResidentLoader
from cl_strategies.plugins.data.store import Store
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters

logger = logging.getLogger("cl_strategies.data")


@hyperparameters
class ResidentDataPlugin(SupervisedPlugin):
    """Slice mini-batches from tensors on the training device.

    Put it anywhere in the list of plugins. When an experience begins to train or to be evaluated
    it replaces ``strategy.dataloader``, whatever loader that is by then (plain, task-balanced, or
    a replay plugin's mix of current data and buffer), by one that yields the same batches in the
    same order, without reading samples again. Deterministic transforms run once per sample;
    random crops, flips and color jitter run on batches, with the same distribution as
    torchvision's transforms but other draws. Where the data cannot be resident (too large, read
    at random, transforms not known, a collate function of its own), training goes on with
    Avalanche's loader and the logger ``cl_strategies.data`` says why, once per reason.

    Inputs that are read stay in memory for later epochs, experiences and evaluations as long as
    their data set lives. Data sets of tensors on the training device are used in place.

    :ivar store: the inputs kept.
    :raises UserError: if ``max_bytes`` is negative.
    """

    def __init__(
        self,
        *,
        max_bytes: Annotated[
            int,
            Ge(0),
            Unit("bytes"),
            Doc("Limit of the inputs kept in memory; the least recently used are dropped first."),
        ] = 2 * 2**30,
    ) -> None:
        super().__init__()
        self.max_bytes = max_bytes
        self._forget()

    def _forget(self) -> None:
        self.store = Store(self.max_bytes)
        self._refused: Any = None
        self._reasons: set[str] = set()

    def before_training_epoch(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        self._replace(strategy)

    def before_eval_exp(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        self._replace(strategy)

    def _replace(self, strategy: TrainingStrategy) -> None:
        loader = strategy.dataloader
        refused = self._refused() if self._refused is not None else None
        if isinstance(loader, ResidentLoader) or loader is refused:
            return
        try:
            strategy.dataloader = ResidentLoader(loader, self.store, strategy.device)
        except NotResident as reason:
            self._refused = weakref.ref(loader) if hasattr(loader, "__weakref__") else None
            if str(reason) not in self._reasons:
                self._reasons.add(str(reason))
                logger.warning("data stay with Avalanche's loader: %s", reason)

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: what is in memory can be read again."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""

    def __getstate__(self) -> dict[str, Any]:
        return {"max_bytes": self.max_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

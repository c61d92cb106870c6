"""Experience replay."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from avalanche.training.plugins import ReplayPlugin as AvalancheReplayPlugin
from avalanche.training.storage_policy import ExemplarsBuffer
from typing_extensions import Doc

from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.rehearsal.memories import (
    CoveringReservoir,
    FullExperienceBalancedBuffer,
    OrderedClassBalancedBuffer,
)
from cl_strategies.plugins.rehearsal.options import MemBatchSize, MemSize
from cl_strategies.validation.hyperparameters import hyperparameters

_STORAGE: dict[str, type[ExemplarsBuffer]] = {
    "class": OrderedClassBalancedBuffer,
    "experience": FullExperienceBalancedBuffer,
    "reservoir": CoveringReservoir,
}


@hyperparameters
class ReplayPlugin(AvalancheReplayPlugin):
    """Join samples from a memory to each mini-batch.

    Avalanche's replay with a memory that uses all of its places. It also works where
    ``persistent_workers`` is passed without workers.

    A memory is filled through ``post_adapt``, which Avalanche puts in place of ``update``.
    """

    def __init__(
        self,
        *,
        mem_size: MemSize = 200,
        batch_size_mem: MemBatchSize = 0,
        storage: Annotated[
            Literal["experience", "class", "reservoir"],
            Doc(
                'What the memory balances; ``"reservoir"``: nothing, it is a uniform sample of '
                "everything seen."
            ),
        ] = "experience",
    ) -> None:
        super().__init__(
            mem_size,
            batch_size_mem=batch_size_mem or None,
            storage_policy=_STORAGE[storage](mem_size),
        )

    def before_training_exp(
        self, strategy: TrainingStrategy, num_workers: int = 0, **kwargs: Any
    ) -> None:
        if not num_workers:
            kwargs.pop("persistent_workers", None)
        super().before_training_exp(strategy, num_workers=num_workers, **kwargs)

    def after_training_exp(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        self.storage_policy.post_adapt(strategy, strategy.experience)

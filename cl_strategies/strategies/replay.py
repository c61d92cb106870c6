"""Experience replay."""

from __future__ import annotations

from typing import Any

from avalanche.training.plugins import ReplayPlugin
from avalanche.training.storage_policy import ExemplarsBuffer

from cl_strategies.errors import UserError
from cl_strategies.ranges import not_negative, positive
from cl_strategies.strategies.base import Strategy
from cl_strategies.strategies.buffers import (
    CoveringReservoir,
    FullExperienceBalancedBuffer,
    OrderedClassBalancedBuffer,
)

_STORAGE: dict[str, type[ExemplarsBuffer]] = {
    "class": OrderedClassBalancedBuffer,
    "experience": FullExperienceBalancedBuffer,
    "reservoir": CoveringReservoir,
}


class Replay(Strategy):
    """Each mini-batch is joined by one from a memory of stored samples.

    :param mem_size: samples in the memory.
    :param batch_size_mem: samples replayed per step; 0 for as many as the training batch size.
    :param storage: what the memory balances: ``"experience"``, ``"class"``, or nothing
        (``"reservoir"``: a uniform sample of everything seen).
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        mem_size: int = 200,
        batch_size_mem: int = 0,
        storage: str = "experience",
        **template: Any,
    ) -> None:
        positive(mem_size=mem_size)
        not_negative(batch_size_mem=batch_size_mem)
        if storage not in _STORAGE:
            raise UserError(f"storage is {storage!r}: use {', '.join(_STORAGE)}")
        plugin = SafeReplayPlugin(
            mem_size,
            batch_size_mem=batch_size_mem or None,
            storage_policy=_STORAGE[storage](mem_size),
        )
        super().__init__(method=[plugin], **template)


class SafeReplayPlugin(ReplayPlugin):
    """Avalanche's replay, also where ``persistent_workers`` is passed without workers.

    A memory is filled through ``post_adapt``, which Avalanche puts in place of ``update``.
    """

    def before_training_exp(self, strategy: Any, num_workers: int = 0, **kwargs: Any) -> None:
        if not num_workers:
            kwargs.pop("persistent_workers", None)
        super().before_training_exp(strategy, num_workers=num_workers, **kwargs)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.storage_policy.post_adapt(strategy, strategy.experience)

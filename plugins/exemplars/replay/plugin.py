"""Replay from a memory that is counted in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Unit
from avalanche.training.plugins import ReplayPlugin
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer.byte_budget import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.buffer.options import Boxes, CodecOrName, Order
from cl_strategies.plugins.exemplars.options import (
    Balance,
    Growing,
    Join,
    MemBatchSize,
    MemBytes,
    Pool,
)
from cl_strategies.plugins.exemplars.replay.extra_fields import without_extras
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class CompressedReplayPlugin(ReplayPlugin):
    """Replay from a memory of compressed images, in the place of Avalanche's ``ReplayPlugin``.

    ``CompressedReplayPlugin(mem_bytes=2_000_000, codec="jpeg")`` replays from two million bytes,
    in any strategy. Between experiences nothing but those bytes is kept of the data.

    :raises UserError: for an option out of its range.
    """

    first_by_position: ClassVar[str] = "mem_bytes"

    def __init__(
        self,
        *,
        mem_bytes: MemBytes = 1_000_000,
        codec: CodecOrName = "raw",
        balance: Balance = "class",
        growing: Growing = False,
        order: Order = "random",
        boxes: Boxes = None,
        pool: Pool = True,
        join: Join = "batch",
        batch_size: Annotated[
            int | None,
            Ge(1),
            Doc(
                'Samples of the experience in each mini-batch of ``join="batch"``; ``None`` for '
                "the batch size of the strategy."
            ),
            Unit("samples"),
        ] = None,
        batch_size_mem: MemBatchSize = 0,
        task_balanced_dataloader: Annotated[
            bool, Doc("Take as many samples of each task from the memory.")
        ] = False,
        storage_policy: Annotated[
            ByteBudgetBuffer | None,
            Doc(
                "A memory to use in place of one with ``codec``, ``balance``, ``growing``, "
                "``order``, ``boxes`` and ``pool``; it must have ``mem_bytes`` bytes."
            ),
        ] = None,
    ) -> None:
        memory = storage_policy or ByteBudgetBuffer(
            mem_bytes=mem_bytes,
            codec=codec,
            balance=balance,
            growing=growing,
            order=order,
            boxes=boxes,
            pool=pool,
        )
        if memory.max_size != mem_bytes:
            raise UserError(
                f"mem_bytes is {mem_bytes} and the storage policy has {memory.max_size} bytes: "
                "give both the same"
            )
        super().__init__(
            mem_bytes,
            batch_size=batch_size,
            batch_size_mem=batch_size_mem or None,
            task_balanced_dataloader=task_balanced_dataloader,
            storage_policy=memory,
        )
        self.join = join

    @property
    def memory(self) -> ByteBudgetBuffer:
        """The exemplars."""
        buffer: ByteBudgetBuffer = self.storage_policy
        return buffer

    def after_train_dataset_adaptation(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        """Read exemplars as this experience's samples are read; join them if they are shuffled.

        What samples hold beside input, label and task label is not stored, and left out of the
        mini-batches of all experiences.
        """
        strategy.adapted_dataset = without_extras(strategy.adapted_dataset)
        if self.memory.records:
            self.memory.use_transforms(strategy.experience.dataset)
            if self.join == "concat":
                strategy.adapted_dataset = strategy.adapted_dataset.concat(self.memory.buffer)

    def before_training_exp(
        self, strategy: TrainingStrategy, num_workers: int = 0, **kwargs: Any
    ) -> None:
        """Join exemplars to each mini-batch, unless the data sets are joined already."""
        if self.join == "batch":
            if not num_workers:
                kwargs.pop("persistent_workers", None)  # PyTorch rejects it without workers
            super().before_training_exp(strategy, num_workers=num_workers, **kwargs)

    def after_training_exp(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        """Store the experience."""
        self.memory.post_adapt(strategy, strategy.experience)

    def state_dict(self) -> dict[str, Any]:
        """Return the exemplars as tensors and plain data."""
        return self.memory.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """:raises UserError: if the state is damaged or was made with other options."""
        self.memory.load_state_dict(state)

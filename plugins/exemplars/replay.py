"""Replay from a memory that is counted in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avalanche.training.plugins import ReplayPlugin

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.codec import Codec
from cl_strategies.plugins.exemplars.encoding import BoxRule
from cl_strategies.plugins.exemplars.extras import without_extras
from cl_strategies.plugins.exemplars.order import Ranking

JOINS = ("batch", "concat")


class CompressedReplayPlugin(ReplayPlugin):
    """Avalanche's ``ReplayPlugin`` with a memory of compressed images.

    Takes its place in any strategy: ``CompressedReplayPlugin(2_000_000, codec="jpeg")`` replays
    from two million bytes. Between experiences nothing but those bytes is kept of the data.

    :param mem_size: bytes of the memory, or of each group if ``growing``.
    :param codec: name, with options such as ``"jpeg:quality=50"``, or object.
    :param balance: ``"class"``, ``"experience"`` or ``"none"``.
    :param growing: ``mem_size`` bytes for each group.
    :param order: ``"herding"``, ``"closest-to-mean"``, ``"random"``, ``"reservoir"``, or a
        function from features to indices.
    :param boxes: rule for the boxes of the two-resolution codec.
    :param pool: whether bytes that some groups leave over go to others.
    :param join: ``"batch"``: as Avalanche's plugin, each mini-batch has its samples from the
        memory beside those of the experience; ``"concat"``: one shuffled data set of both, as in
        iCaRL, LUCIR, DER, FOSTER and CIM.
    :param batch_size: samples of the experience per mini-batch (``join="batch"``); ``None``: the
        strategy's.
    :param batch_size_mem: samples of the memory per mini-batch (``join="batch"``); ``None``: the
        strategy's batch size.
    :param task_balanced_dataloader: as many samples of each task among those of the memory.
    :param storage_policy: a :class:`ByteBudgetBuffer` to use in place of ``codec``, ``balance``,
        ``growing``, ``order``, ``boxes`` and ``pool``; its ``max_size`` must be ``mem_size``.
    :raises UserError: for an option out of range.
    """

    def __init__(
        self,
        mem_size: int = 1_000_000,
        *,
        codec: str | Codec = "raw",
        balance: str = "class",
        growing: bool = False,
        order: str | Ranking = "random",
        boxes: BoxRule | None = None,
        pool: bool = True,
        join: str = "batch",
        batch_size: int | None = None,
        batch_size_mem: int | None = None,
        task_balanced_dataloader: bool = False,
        storage_policy: ByteBudgetBuffer | None = None,
    ) -> None:
        if join not in JOINS:
            raise UserError(f"join is {join!r}: use {' or '.join(JOINS)}")
        memory = storage_policy or ByteBudgetBuffer(
            mem_size,
            codec=codec,
            balance=balance,
            growing=growing,
            order=order,
            boxes=boxes,
            pool=pool,
        )
        if memory.max_size != mem_size:
            raise UserError(
                f"mem_size is {mem_size} and the storage policy has {memory.max_size} bytes: "
                "give both the same"
            )
        super().__init__(
            mem_size,
            batch_size=batch_size,
            batch_size_mem=batch_size_mem,
            task_balanced_dataloader=task_balanced_dataloader,
            storage_policy=memory,
        )
        self.join = join

    @property
    def memory(self) -> ByteBudgetBuffer:
        """The exemplars."""
        buffer: ByteBudgetBuffer = self.storage_policy
        return buffer

    def after_train_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        """Read exemplars as this experience's samples are read; join them if they are shuffled.

        What samples hold beside input, label and task label is not stored, and left out of the
        mini-batches of all experiences.
        """
        strategy.adapted_dataset = without_extras(strategy.adapted_dataset)
        if self.memory.records:
            self.memory.use_transforms(strategy.experience.dataset)
            if self.join == "concat":
                strategy.adapted_dataset = strategy.adapted_dataset.concat(self.memory.buffer)

    def before_training_exp(self, strategy: Any, num_workers: int = 0, **kwargs: Any) -> None:
        """Join exemplars to each mini-batch, unless the data sets are joined already."""
        if self.join == "batch":
            if not num_workers:
                kwargs.pop("persistent_workers", None)  # PyTorch rejects it without workers
            super().before_training_exp(strategy, num_workers=num_workers, **kwargs)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Store the experience."""
        self.memory.post_adapt(strategy, strategy.experience)

    def state_dict(self) -> dict[str, Any]:
        """The exemplars as tensors and plain data."""
        return self.memory.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """:raises UserError: if the state is damaged or was made with other options."""
        self.memory.load_state_dict(state)

"""Replay from compressed exemplars; with JPEG, what MRDC (Wang et al., ICLR 2022) builds on."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.exemplars.options import (
    Balance,
    BoxRuleName,
    CodecName,
    Growing,
    Join,
    MemBatchSize,
    MemBytes,
    OrderName,
    Pool,
)
from cl_strategies.plugins.exemplars.replay.plugin import CompressedReplayPlugin
from cl_strategies.plugins.masking.boxes import make_boxes
from cl_strategies.strategies.templates.base import Strategy


class CompressedReplay(Strategy):
    """Replay from exemplars that are stored as compressed images, counted in bytes.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        mem_bytes: MemBytes = 200_000,
        codec: CodecName = "jpeg",
        boxes: BoxRuleName = "cam",
        order: OrderName = "herding",
        balance: Balance = "class",
        growing: Growing = False,
        pool: Pool = True,
        join: Join = "batch",
        batch_size_mem: MemBatchSize = 0,
        **template: Any,
    ) -> None:
        self.memory = CompressedReplayPlugin(
            mem_bytes=mem_bytes,
            codec=codec,
            boxes=make_boxes(boxes),
            order=order,
            balance=balance,
            growing=growing,
            pool=pool,
            join=join,
            batch_size_mem=batch_size_mem,
        )
        super().__init__(method=[self.memory], **template)

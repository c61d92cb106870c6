"""MRDC (Wang, Zhang, Yang, Zhang, Li, Hong, Zhu, "Memory Replay with Data Compression for Continual
Learning", ICLR 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl_strategies.plugins.exemplars.quality import QUALITIES, MRDCPlugin
from cl_strategies.ranges import not_negative, positive
from cl_strategies.strategies.class_incremental import ClassIncremental, make_host


class MRDC(ClassIncremental):
    """Exemplars as JPEG images, of the lowest quality that keeps their features apart.

    :param host: the method that is trained: ``replay``, ``lucir``, ``icarl``, ``wa``,
        ``der-expandable`` or ``foster``, with options behind a colon.
    :param mem_bytes: bytes of the memory, or of each class if ``growing``.
    :param growing: ``mem_bytes`` for each class.
    :param classes: how many classes share the memory in the end; 0 asks the stream.
    :param qualities: JPEG qualities to choose from, once, on the first experience.
    :param tolerance: how far the volume that the features of compressed exemplars span may be from
        that of the originals.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        host: str = "lucir",
        mem_bytes: int = 200_000,
        growing: bool = False,
        classes: int = 0,
        qualities: Sequence[int] = QUALITIES,
        tolerance: float = 0.5,
        **template: Any,
    ) -> None:
        not_negative(classes=classes)
        positive(tolerance=tolerance)
        memory = MRDCPlugin(
            mem_bytes,
            classes=classes,
            qualities=qualities,
            tolerance=tolerance,
            growing=growing,
            order="herding",
            join="concat",
        )
        super().__init__(learner=make_host(host), memory=memory, **template)

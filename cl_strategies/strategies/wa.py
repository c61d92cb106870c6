"""WA (Zhao, Xiao, Gan, Zhang, Xia, CVPR 2020)."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.incremental.weight_aligning import WeightAligningMethod
from cl_strategies.strategies.class_incremental import ClassIncremental, exemplar_memory


class WA(ClassIncremental):
    """Distillation, then the classifier's new rows are scaled to the mean norm of the old.

    :param mem_bytes: bytes of the memory, or of each class if ``growing``.
    :param codec: what exemplars are stored with, such as ``"jpeg:quality=50"``.
    :param boxes: rule for the boxes of two-resolution exemplars.
    :param growing: ``mem_bytes`` for each class.
    :param temperature: of the distillation, whose weight is the share of old classes.
    :param align: whether rows are scaled.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        mem_bytes: int = 200_000,
        codec: str = "raw",
        boxes: str = "cam",
        growing: bool = False,
        temperature: float = 2.0,
        align: bool = True,
        **template: Any,
    ) -> None:
        memory = exemplar_memory(mem_bytes=mem_bytes, codec=codec, boxes=boxes, growing=growing)
        learner = WeightAligningMethod(temperature=temperature, align=align)
        super().__init__(learner=learner, memory=memory, **template)

"""DER (Yan, Xie, He, "Dynamically Expandable Representation", CVPR 2021)."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.incremental.expandable import ExpandableMethod
from cl_strategies.strategies.class_incremental import ClassIncremental, exemplar_memory


class ExpandableRepresentation(ClassIncremental):
    """A backbone per phase, the old ones frozen; not Dark Experience Replay.

    :param mem_bytes: bytes of the memory, or of each class if ``growing``.
    :param codec: what exemplars are stored with, such as ``"jpeg:quality=50"``.
    :param boxes: rule for the boxes of two-resolution exemplars.
    :param growing: ``mem_bytes`` for each class.
    :param auxiliary: weight of the auxiliary loss that tells new classes apart.
    :param rectify: against the bias to new classes: ``align``, ``finetune`` or ``none``.
    :param finetune_epochs: of ``rectify="finetune"``.
    :param finetune_lr: its first learning rate.
    :param finetune_schedule: of it: ``run`` (the run's, stretched) or ``constant``.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        mem_bytes: int = 200_000,
        codec: str = "raw",
        boxes: str = "cam",
        growing: bool = False,
        auxiliary: float = 1.0,
        rectify: str = "align",
        finetune_epochs: int = 30,
        finetune_lr: float = 0.1,
        finetune_schedule: str = "run",
        **template: Any,
    ) -> None:
        memory = exemplar_memory(mem_bytes=mem_bytes, codec=codec, boxes=boxes, growing=growing)
        learner = ExpandableMethod(
            auxiliary=auxiliary,
            rectify=rectify,
            finetune_epochs=finetune_epochs,
            finetune_lr=finetune_lr,
            finetune_schedule=finetune_schedule,
        )
        super().__init__(learner=learner, memory=memory, **template)

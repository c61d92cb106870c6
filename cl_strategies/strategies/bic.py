"""BiC (Wu, Chen, Wang, Ye, Liu, Guo, Fu, CVPR 2019)."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.incremental.bias_correction import BiasCorrectionMethod
from cl_strategies.strategies.class_incremental import ClassIncremental, exemplar_memory


class BiC(ClassIncremental):
    """Distillation, then a linear correction of new scores on held-out samples.

    :param mem_bytes: bytes of the memory, or of each class if ``growing``.
    :param codec: what exemplars are stored with, such as ``"jpeg:quality=50"``.
    :param boxes: rule for the boxes of two-resolution exemplars.
    :param growing: ``mem_bytes`` for each class.
    :param temperature: of the distillation, whose weight is the share of old classes.
    :param held_out: share of the exemplars that is held out for the correction.
    :param correction_epochs: steps of the correction.
    :param correction_lr: their first learning rate, with Adam.
    :param correction_schedule: of it: ``run`` (the run's, stretched) or ``constant``.
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
        held_out: float = 0.1,
        correction_epochs: int = 200,
        correction_lr: float = 0.01,
        correction_schedule: str = "run",
        **template: Any,
    ) -> None:
        memory = exemplar_memory(mem_bytes=mem_bytes, codec=codec, boxes=boxes, growing=growing)
        learner = BiasCorrectionMethod(
            temperature=temperature,
            held_out=held_out,
            correction_epochs=correction_epochs,
            correction_lr=correction_lr,
            correction_schedule=correction_schedule,
        )
        super().__init__(learner=learner, memory=memory, **template)

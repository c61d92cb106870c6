"""FOSTER (Wang, Zhou, Ye, Zhan, ECCV 2022)."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.incremental.foster import FosterMethod
from cl_strategies.strategies.class_incremental import ClassIncremental, exemplar_memory


class FOSTER(ClassIncremental):
    """Boosts the old network by a new backbone, then compresses both into one.

    :param mem_bytes: bytes of the memory, or of each class if ``growing``.
    :param codec: what exemplars are stored with, such as ``"jpeg:quality=50"``.
    :param boxes: rule for the boxes of two-resolution exemplars.
    :param growing: ``mem_bytes`` for each class.
    :param temperature: of both distillations.
    :param distillation_weight: weight of the distillation of old classes.
    :param beta: of the effective numbers of the boosting.
    :param compress_beta: of those of the compression.
    :param compress_epochs: of the compression; 0 for as many as of a phase.
    :param compress_schedule: of its learning rate: ``run`` (the run's, stretched) or ``constant``.
    :param align: value by which new rows are aligned after each stage; 0 for not.
    :param evaluate: ``teacher``, both backbones, or ``student``, the compressed one.
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
        distillation_weight: float = 1.0,
        beta: float = 0.97,
        compress_beta: float = 0.97,
        compress_epochs: int = 0,
        compress_schedule: str = "run",
        align: float = 0.0,
        evaluate: str = "teacher",
        **template: Any,
    ) -> None:
        memory = exemplar_memory(mem_bytes=mem_bytes, codec=codec, boxes=boxes, growing=growing)
        learner = FosterMethod(
            temperature=temperature,
            distillation_weight=distillation_weight,
            beta=beta,
            compress_beta=compress_beta,
            compress_epochs=compress_epochs,
            compress_schedule=compress_schedule,
            align=align,
            evaluate=evaluate,
        )
        super().__init__(learner=learner, memory=memory, **template)

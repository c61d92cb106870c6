"""iCaRL (Rebuffi, Kolesnikov, Sperl, Lampert, CVPR 2017)."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.incremental.icarl import ICaRLMethod
from cl_strategies.strategies.class_incremental import ClassIncremental, exemplar_memory


class ICaRL(ClassIncremental):
    """Herded exemplars, distillation, and classification by the nearest mean of exemplars.

    :param mem_bytes: bytes of the memory, or of each class if ``growing``.
    :param codec: what exemplars are stored with, such as ``"jpeg:quality=50"``.
    :param boxes: rule for the boxes of two-resolution exemplars.
    :param growing: ``mem_bytes`` for each class.
    :param temperature: of the distillation.
    :param distillation_weight: weight of the distillation.
    :param nearest_mean: classify by class means; ``False``: by the linear layer.
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
        nearest_mean: bool = True,
        **template: Any,
    ) -> None:
        memory = exemplar_memory(mem_bytes=mem_bytes, codec=codec, boxes=boxes, growing=growing)
        learner = ICaRLMethod(
            temperature=temperature,
            distillation_weight=distillation_weight,
            nearest_mean=nearest_mean,
        )
        super().__init__(learner=learner, memory=memory, **template)

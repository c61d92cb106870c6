"""PODNet (Douillard, Cord, Ollion, Robert, Valle, ECCV 2020)."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.incremental.podnet import PODNetMethod
from cl_strategies.strategies.class_incremental import ClassIncremental, exemplar_memory


class PODNet(ClassIncremental):
    """Distillation of pooled feature maps, and classes of several proxies.

    :param mem_bytes: bytes of the memory, or of each class if ``growing``.
    :param codec: what exemplars are stored with, such as ``"jpeg:quality=50"``.
    :param boxes: rule for the boxes of two-resolution exemplars.
    :param growing: ``mem_bytes`` for each class.
    :param spatial: weight of POD-spatial; 3 for CIFAR-100, 8 for ImageNet.
    :param flat: weight of POD-flat; 1 for CIFAR-100, 10 for ImageNet.
    :param proxies: of each class.
    :param margin: of the NCA loss.
    :param released: the NCA loss as the public code computes it.
    :param balance_epochs: epochs of training the classifier alone on exemplars after a phase.
    :param balance_lr: their first learning rate.
    :param balance_schedule: of it: ``run`` (the run's, stretched) or ``constant``.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        mem_bytes: int = 200_000,
        codec: str = "raw",
        boxes: str = "cam",
        growing: bool = False,
        spatial: float = 3.0,
        flat: float = 1.0,
        proxies: int = 10,
        margin: float = 0.6,
        released: bool = False,
        balance_epochs: int = 20,
        balance_lr: float = 0.05,
        balance_schedule: str = "run",
        **template: Any,
    ) -> None:
        memory = exemplar_memory(mem_bytes=mem_bytes, codec=codec, boxes=boxes, growing=growing)
        learner = PODNetMethod(
            spatial=spatial,
            flat=flat,
            proxies=proxies,
            margin=margin,
            released=released,
            balance_epochs=balance_epochs,
            balance_lr=balance_lr,
            balance_schedule=balance_schedule,
        )
        super().__init__(learner=learner, memory=memory, **template)

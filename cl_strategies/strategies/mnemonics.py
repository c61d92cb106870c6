"""Mnemonics (Liu, Su, Liu, Schiele, Sun, CVPR 2020)."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.incremental.mnemonics import MnemonicsMethod
from cl_strategies.strategies.class_incremental import ClassIncremental, exemplar_memory


class Mnemonics(ClassIncremental):
    """LUCIR whose new exemplars are trained as pixels.

    :param mem_bytes: bytes of the memory, or of each class if ``growing``.
    :param codec: what exemplars are stored with, such as ``"jpeg:quality=50"``.
    :param boxes: rule for the boxes of two-resolution exemplars.
    :param growing: ``mem_bytes`` for each class.
    :param pixel_lr: learning rate of pixels in ``[0, 1]``, of Adam.
    :param pixel_epochs: passes over the new data to train pixels.
    :param pixel_decay: decoupled weight decay of pixels.
    :param less_forget: base weight of the less-forget loss; 5 for CIFAR-100, 10 for ImageNet.
    :param ranking: weight of the margin ranking loss.
    :param margin: of that loss.
    :param nearest: new classes that an old sample keeps away from.
    :param imprint: start the rows of new classes from their mean features.
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
        pixel_lr: float = 0.01,
        pixel_epochs: int = 1,
        pixel_decay: float = 5e-4,
        less_forget: float = 5.0,
        ranking: float = 1.0,
        margin: float = 0.5,
        nearest: int = 2,
        imprint: bool = True,
        balance_epochs: int = 0,
        balance_lr: float = 0.01,
        balance_schedule: str = "run",
        **template: Any,
    ) -> None:
        memory = exemplar_memory(mem_bytes=mem_bytes, codec=codec, boxes=boxes, growing=growing)
        learner = MnemonicsMethod(
            pixel_lr=pixel_lr,
            pixel_epochs=pixel_epochs,
            pixel_decay=pixel_decay,
            less_forget=less_forget,
            ranking=ranking,
            margin=margin,
            nearest=nearest,
            imprint=imprint,
            balance_epochs=balance_epochs,
            balance_lr=balance_lr,
            balance_schedule=balance_schedule,
        )
        super().__init__(learner=learner, memory=memory, **template)

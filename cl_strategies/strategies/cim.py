"""CIM (Luo, Liu, Schiele, Sun, "Class-Incremental Exemplar Compression for Class-Incremental
Learning", CVPR 2023), and replay from compressed exemplars without it."""

from __future__ import annotations

from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.replay import CompressedReplayPlugin
from cl_strategies.plugins.exemplars.two_resolution import TwoResolution
from cl_strategies.plugins.masking.artefacts import ArtefactSchedule
from cl_strategies.plugins.masking.bilevel import MaskObjective
from cl_strategies.plugins.masking.boxes import make_boxes
from cl_strategies.plugins.masking.learner import MaskSchedule, criterion_loss
from cl_strategies.plugins.masking.plugin import CIMPlugin
from cl_strategies.ranges import not_negative
from cl_strategies.strategies.base import Strategy
from cl_strategies.strategies.class_incremental import ClassIncremental, host_loss, make_host


class CompressedReplay(Strategy):
    """Replay from exemplars that are stored as compressed images, counted in bytes.

    :param mem_bytes: bytes of the memory, or of each class if ``growing``.
    :param codec: ``raw``, ``png``, ``jpeg``, ``webp``, ``downsample``, ``quantised`` or
        ``two-resolution``, with options such as ``"jpeg:quality=50"``.
    :param boxes: rule for the boxes of two-resolution exemplars: ``empty``, ``random``, ``centre``
        or ``cam``; other codecs have none.
    :param order: which samples are kept: ``herding``, ``closest-to-mean``, ``random``,
        ``reservoir``.
    :param balance: ``class``, ``experience`` or ``none``.
    :param growing: ``mem_bytes`` for each group.
    :param pool: whether bytes that some groups leave over go to others.
    :param join: ``concat`` shuffles exemplars and new data together; ``batch`` gives each
        mini-batch some of both.
    :param batch_size_mem: exemplars per mini-batch for ``join="batch"``; 0 for as many as new
        samples.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        mem_bytes: int = 200_000,
        codec: str = "jpeg",
        boxes: str = "cam",
        order: str = "herding",
        balance: str = "class",
        growing: bool = False,
        pool: bool = True,
        join: str = "batch",
        batch_size_mem: int = 0,
        **template: Any,
    ) -> None:
        not_negative(batch_size_mem=batch_size_mem)
        self.memory = CompressedReplayPlugin(
            mem_bytes,
            codec=codec,
            boxes=make_boxes(boxes),
            order=order,
            balance=balance,
            growing=growing,
            pool=pool,
            join=join,
            batch_size_mem=batch_size_mem or None,
        )
        super().__init__(method=[self.memory], **template)


class CIM(ClassIncremental):
    """Class-incremental masking: two-resolution exemplars whose masks are learned.

    The network must have a linear classifier on averaged feature maps, and ReLUs. The defaults are
    the paper's, save that ``artefact_interval`` is for its 170 to 200 epochs and should be about a
    fifth of the epochs of an experience.

    :param host: the method that CIM plugs into: ``replay``, ``icarl``, ``wa``, ``lucir``,
        ``der-expandable`` or ``foster``, with options behind a colon, such as
        ``"foster:compress_epochs=20"``.
    :param mem_bytes: bytes of the memory, or of each class if ``growing``.
    :param growing: ``mem_bytes`` for each class.
    :param masks: ``bilevel`` (CIM), or an ablation: ``none``, ``empty``, ``random``, ``centre``,
        ``cam``, ``cam-threshold``, ``joint``.
    :param threshold: tau: share of the greatest activation that counts as active.
    :param eta: ratio of areas between image and stored background.
    :param filter: how the background is made smaller: ``nearest`` as in the paper, or ``box``, the
        mean of each cell, which lossy files store in fewer bytes.
    :param foreground_eta: the same inside the box; 2 in the ablation "Fg Compressed".
    :param inner: how both parts are written: ``raw`` as in the paper, ``png``, ``jpeg``, ``webp``.
    :param quality: of a lossy ``inner``.
    :param pool: whether bytes that some classes leave over go to others; not in the paper.
    :param join: ``concat`` as in the paper's hosts, or ``batch``.
    :param artefact_interval: epochs between two refreshes of the boxes of new images.
    :param artefact_increment: by how much the share of new images shown compressed grows at each;
        0 switches this off.
    :param penalty: mu, weight of R(phi).
    :param diversity: mu', weight of the term against collapse.
    :param mask_lr: beta_2, for phi.
    :param inner_lr: beta_1, for the network's step within a mask-level step; like ``mask_lr`` it
        falls to 0 along a cosine.
    :param mask_steps: mask-level steps after each epoch, per new class.
    :param mask_batch_size: samples of each batch of such a step.
    :param learned_activations: how many activation functions are learned, counted from the last;
        0 for all. 4 is "LastBlock Only" on a ResNet-18.
    :param second_order: differentiate through the inner step.
    :param released: do as the released code does where it differs from the paper: the outer loss
        and phi's start, shortcuts without inner step, the pixels of the soft background, the
        inner learning rate.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        host: str = "replay",
        mem_bytes: int = 200_000,
        growing: bool = False,
        masks: str = "bilevel",
        threshold: float = 0.6,
        eta: float = 4.0,
        filter: str = "nearest",
        foreground_eta: float = 1.0,
        inner: str = "raw",
        quality: int = 75,
        pool: bool = True,
        join: str = "concat",
        artefact_interval: int = 40,
        artefact_increment: float = 0.1,
        penalty: float = 0.1,
        diversity: float = 0.2,
        mask_lr: float = 0.01,
        inner_lr: float = 0.1,
        mask_steps: float = 0.5,
        mask_batch_size: int = 16,
        learned_activations: int = 0,
        second_order: bool = True,
        released: bool = False,
        **template: Any,
    ) -> None:
        if released and inner_lr != 0.1:
            raise UserError("released=True sets inner_lr to 0.01: leave it at 0.1")
        objective = MaskObjective(
            penalty=penalty,
            diversity=diversity,
            eta=eta,
            filter=filter,
            second_order=second_order,
            fixed=("auxiliary.*", *(("*shortcut*", "*downsample*") if released else ())),
            nearest="floor" if released else "pillow",
        )
        schedule = MaskSchedule(
            lr=mask_lr,
            inner_lr=0.01 if released else inner_lr,
            batch_size=mask_batch_size,
            steps_per_class=mask_steps,
            outer="all" if released else "new",
            start="first" if released else "previous",
        )
        learner = make_host(host)
        self.masking = CIMPlugin(
            mem_bytes,
            codec=TwoResolution(
                eta=eta,
                foreground_eta=foreground_eta,
                filter=filter,
                inner=inner,
                quality=quality,
            ),
            masks=masks,
            threshold=threshold,
            artefacts=ArtefactSchedule(interval=artefact_interval, increment=artefact_increment),
            objective=objective,
            schedule=schedule,
            learnable=learned_activations,
            growing=growing,
            pool=pool,
            join=join,
            host_loss=criterion_loss if learner is None else host_loss,
        )
        super().__init__(learner=learner, memory=self.masking, **template)

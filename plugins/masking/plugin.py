"""CIM as a plugin (Luo, Liu, Schiele, Sun, CVPR 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from cl_strategies.errors import unknown_name
from cl_strategies.plugins.exemplars.buffer import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.encoding import BoxRule
from cl_strategies.plugins.exemplars.extras import without_extras
from cl_strategies.plugins.exemplars.replay import CompressedReplayPlugin
from cl_strategies.plugins.exemplars.two_resolution import TwoResolution
from cl_strategies.plugins.masking.artefacts import ArtefactImages, ArtefactSchedule
from cl_strategies.plugins.masking.bilevel import Batch, MaskObjective
from cl_strategies.plugins.masking.boxes import (
    CamBoxes,
    CentreBoxes,
    EmptyBoxes,
    RandomBoxes,
    all_boxes,
)
from cl_strategies.plugins.masking.learner import (
    HostLoss,
    MaskLearner,
    MaskSchedule,
    criterion_loss,
    endless,
)
from cl_strategies.plugins.masking.measured import MeasuredBoxes
from cl_strategies.plugins.masking.threshold import choose_threshold
from cl_strategies.plugins.regularization.loss_scale import LossScale
from cl_strategies.plugins.regularization.loss_term import check_single_pass

MASKS = ("none", "empty", "random", "centre", "cam", "cam-threshold", "joint", "bilevel")
_LEARNED = ("joint", "bilevel")
_HELD_OUT = 10  # one in ten


class CIMPlugin(CompressedReplayPlugin):
    """Replay from two-resolution exemplars whose masks are learned.

    The data set of an experience and the exemplars are joined into one, a growing share of the new
    images is shown compressed, and after each epoch the masks take a few steps. At the end of the
    experience its images are compressed, herded, and stored until the budget is full.

    Put it before plugins that change the learning rate after an epoch.

    :param mem_size: bytes of the memory, or of each class if ``growing``.
    :param codec: what exemplars are stored with; its ``eta`` should be the objective's.
    :param masks: what decides where an image keeps its resolution. ``"bilevel"`` is CIM; the
        others are the paper's ablations: ``"none"`` (whole images), ``"empty"`` (everything
        downsampled), ``"random"``, ``"centre"``, ``"cam"``, ``"cam-threshold"`` (a threshold for
        each experience, chosen on a tenth of its data that is held out of training) and
        ``"joint"`` (masks and network trained together).
    :param threshold: tau: share of the greatest activation that counts as active.
    :param area: share of the image that random and centre boxes cover.
    :param artefacts: when new images are shown compressed.
    :param objective: what the masks are optimised for.
    :param schedule: how.
    :param learnable: activation functions to learn, counted from the last; all if 0.
    :param growing: ``mem_size`` bytes for each class.
    :param order: as for :class:`CompressedReplayPlugin`; images are ranked as they are stored.
    :param pool: whether bytes that some classes leave over go to others.
    :param join: ``"concat"`` or ``"batch"``, as for :class:`CompressedReplayPlugin`.
    :param batch_size_mem: exemplars per mini-batch for ``join="batch"``.
    :param host_loss: loss of the method that CIM is plugged into; its criterion by default.
    :raises UserError: for an option out of range.
    """

    def __init__(
        self,
        mem_size: int = 1_000_000,
        *,
        codec: TwoResolution | None = None,
        masks: str = "bilevel",
        threshold: float = 0.6,
        area: float = 0.25,
        artefacts: ArtefactSchedule | None = None,
        objective: MaskObjective | None = None,
        schedule: MaskSchedule | None = None,
        learnable: int = 0,
        growing: bool = False,
        order: str = "herding",
        pool: bool = True,
        join: str = "concat",
        batch_size_mem: int | None = None,
        host_loss: HostLoss = criterion_loss,
    ) -> None:
        if masks not in MASKS:
            raise unknown_name("kind of masks", masks, MASKS)
        self.codec = codec or TwoResolution()
        self.masks = masks
        self.rule = _rule(masks, threshold, area)
        self._measured = MeasuredBoxes(self.rule, threshold)
        self.artefacts = artefacts or ArtefactSchedule()
        objective = objective or MaskObjective(eta=self.codec.eta, filter=self.codec.filter)
        self.learner = MaskLearner(
            objective, schedule or MaskSchedule(), learnable=learnable, host_loss=host_loss
        )
        memory = ByteBudgetBuffer(
            mem_size,
            codec="raw" if masks == "none" else self.codec,
            growing=growing,
            order=order,
            boxes=self._measured,
            pool=pool,
            rank_stored=masks != "none",
        )
        super().__init__(mem_size, join=join, batch_size_mem=batch_size_mem, storage_policy=memory)
        self._scale, self._factor = LossScale(), 1.0
        self._shown: ArtefactImages | None = None
        self._new: Any = None
        self._held_out: Any = None
        self._batches: tuple[Iterator[Batch], Iterator[Batch]] | None = None

    @property
    def cam_overlap(self) -> float | None:
        """How much the boxes made last overlap with those of class activation maps.

        Mean intersection over union over the images of the latest experience, with the network at
        its end; ``None`` without boxes, and for a network without such maps. The mean area of the
        boxes is ``memory.report()["box_area"]``.
        """
        return self._measured.overlap

    def after_train_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        """Make the new images compressible, and join the exemplars to them."""
        if self.masks == "cam-threshold":
            strategy.adapted_dataset, self._held_out = _hold_out(strategy.adapted_dataset)
        self._new = strategy.adapted_dataset.train()
        self._shown = None
        if self.artefacts.ever(strategy.train_epochs):
            self._shown = ArtefactImages(self._new, self.codec)
            strategy.adapted_dataset = self._shown.dataset()
        super().after_train_dataset_adaptation(strategy, **kwargs)

    def before_training_exp(self, strategy: Any, num_workers: int = 0, **kwargs: Any) -> None:
        """Start the masks of this experience."""
        super().before_training_exp(strategy, num_workers=num_workers, **kwargs)
        self._scale.begin()
        if self.masks not in _LEARNED:
            return
        activations = self.learner.begin(strategy, self._new)
        if isinstance(self.rule, CamBoxes):
            self.rule.activations = activations
        size, device = self.learner.schedule.batch_size, strategy.device
        new = without_extras(self._new)
        everything = new.concat(self.memory.buffer) if self.memory.records else new
        judged = everything if self.learner.schedule.outer == "all" else self._new
        self._batches = endless(everything, size, device), endless(judged, size, device)

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        """Make the boxes of the new images anew when it is time."""
        epoch, epochs = strategy.clock.train_exp_epochs, strategy.train_epochs
        if self._shown is not None and self.artefacts.refreshes(epoch, epochs):
            box_of = self.rule(strategy, self._new)
            self._shown.update(all_boxes(self._new, box_of), self.artefacts.share(epoch))

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        """Add the loss of the masks where they are trained with the network.

        :raises UserError: if gradients accumulate over several mini-batches.
        """
        if self.masks == "joint":
            check_single_pass(strategy.model, "masks='joint'")
            self._scale.before_backward(strategy)
            strategy.loss = strategy.loss + self.learner.joint_loss(strategy)

    def after_backward(self, strategy: Any, **kwargs: Any) -> None:
        """:raises UserError: if the scale of the gradients cannot be told."""
        if self.masks == "joint":
            self._factor = self._scale.after_backward(strategy)

    def after_update(self, strategy: Any, **kwargs: Any) -> None:
        """Let phi follow where it is trained with the network."""
        if self.masks == "joint":
            self.learner.joint_update(_progress(strategy), scale=self._factor)

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        """Mask-level steps (Eq. 7 to 9)."""
        if self.masks != "bilevel" or self._batches is None:
            return
        classes = len(set(self._new.targets))
        count = max(1, int(self.learner.schedule.steps_per_class * classes))
        self.learner.steps(strategy, *self._batches, count=count, progress=_progress(strategy))

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Compress, select and store."""
        if self._held_out is not None and isinstance(self.rule, CamBoxes):
            self.rule.threshold = choose_threshold(strategy, self._held_out, self.codec)
        super().after_training_exp(strategy, **kwargs)
        if self.masks in _LEARNED:
            self.learner.end()
        self._shown = self._new = self._held_out = self._batches = None

    def state_dict(self) -> dict[str, Any]:
        """Exemplars, phi and threshold as tensors and plain data."""
        threshold = self.rule.threshold if isinstance(self.rule, CamBoxes) else None
        return {
            "memory": super().state_dict(),
            "masks": self.learner.state_dict(),
            "threshold": threshold,
            "cam_overlap": self._measured.overlap,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """:raises UserError: if the state is damaged or was made with other options."""
        super().load_state_dict(state["memory"])
        self.learner.load_state_dict(state["masks"])
        self._measured.overlap = state.get("cam_overlap")  # not there in earlier releases
        if isinstance(self.rule, CamBoxes):
            self.rule.threshold = state["threshold"]


def _rule(masks: str, threshold: float, area: float) -> BoxRule:
    if masks == "empty":
        return EmptyBoxes()
    if masks == "random":
        return RandomBoxes(area)
    if masks == "centre":
        return CentreBoxes(area)
    return CamBoxes(threshold)


def _hold_out(dataset: Any) -> tuple[Any, Any]:
    """One sample in ten of each class, at random, apart from the rest."""
    rows: dict[int, list[int]] = {}
    for row in torch.randperm(len(dataset)).tolist():
        rows.setdefault(int(dataset.targets[row]), []).append(row)
    held = sorted(
        row for members in rows.values() for row in members[::_HELD_OUT][: len(members) // 2]
    )
    kept = sorted(set(range(len(dataset))) - set(held))
    return dataset.subset(kept), dataset.subset(held)


def _progress(strategy: Any) -> float:
    """Share of the experience's epochs that were over before this one."""
    return strategy.clock.train_exp_epochs / max(1, strategy.train_epochs)

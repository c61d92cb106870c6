"""CIM as a plugin (Luo, Liu, Schiele, Sun, CVPR 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args

import torch
from torch import nn
from typing_extensions import Doc

from cl_strategies.plugins.exemplars.buffer.byte_budget import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.buffer.encoder import BoxRule
from cl_strategies.plugins.exemplars.buffer.options import Order
from cl_strategies.plugins.exemplars.codecs.two_resolution import TwoResolution
from cl_strategies.plugins.exemplars.options import Growing, Join, MemBatchSize, MemBytes, Pool
from cl_strategies.plugins.exemplars.replay.extra_fields import without_extras
from cl_strategies.plugins.exemplars.replay.plugin import CompressedReplayPlugin
from cl_strategies.plugins.loss_terms.loss_scale import LossScale
from cl_strategies.plugins.loss_terms.loss_term import check_single_pass
from cl_strategies.plugins.masking.bilevel import Batch, MaskObjective
from cl_strategies.plugins.masking.box_statistics import MeasuredBoxes
from cl_strategies.plugins.masking.boxes import (
    CamBoxes,
    CenterBoxes,
    EmptyBoxes,
    RandomBoxes,
    TrueBoxes,
    all_boxes,
    no_true_boxes,
    true_boxes,
)
from cl_strategies.plugins.masking.compression_artifacts import ArtifactImages, ArtifactSchedule
from cl_strategies.plugins.masking.experience_threshold import choose_threshold
from cl_strategies.plugins.masking.mask_learner import (
    HostLoss,
    MaskLearner,
    MaskSchedule,
    criterion_loss,
    endless,
)
from cl_strategies.plugins.masking.options import (
    Area,
    LearnedActivations,
    MaskKind,
    Masks,
    Threshold,
)
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters

MASKS: tuple[str, ...] = get_args(MaskKind)
_LEARNED = ("joint", "bilevel")
_HELD_OUT = 10  # one in ten


@hyperparameters
class CIMPlugin(CompressedReplayPlugin):
    """Replay from two-resolution exemplars whose masks are learned.

    The data set of an experience and the exemplars are joined into one, a growing share of the new
    images is shown compressed, and after each epoch the masks take a few steps. At the end of the
    experience its images are compressed, herded, and stored until the budget is full.

    Put it before plugins that change the learning rate after an epoch.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        mem_bytes: MemBytes = 1_000_000,
        codec: Annotated[
            TwoResolution | None,
            Doc("What exemplars are stored with; its ``eta`` should be that of ``objective``."),
        ] = None,
        masks: Masks = "bilevel",
        threshold: Threshold = 0.6,
        area: Area = 0.25,
        artifacts: Annotated[
            ArtifactSchedule | None, Doc("When new images are shown compressed.")
        ] = None,
        objective: Annotated[
            MaskObjective | None, Doc("What the masks are optimized for; by default as ``codec``.")
        ] = None,
        schedule: Annotated[MaskSchedule | None, Doc("How the masks are optimized.")] = None,
        learned_activations: LearnedActivations = 0,
        growing: Growing = False,
        order: Order = "herding",
        pool: Pool = True,
        join: Join = "concat",
        batch_size_mem: MemBatchSize = 0,
        host_loss: Annotated[
            HostLoss, Doc("Loss of the method that CIM is plugged into.")
        ] = criterion_loss,
    ) -> None:
        self.codec = codec or TwoResolution()
        self.masks = masks
        self.rule = _rule(masks, threshold, area)
        self._measured = MeasuredBoxes(rule=self.rule, threshold=threshold)
        self.artifacts = artifacts or ArtifactSchedule()
        objective = objective or MaskObjective(eta=self.codec.eta, filter=self.codec.filter)
        self.learner = MaskLearner(
            objective=objective,
            schedule=schedule or MaskSchedule(),
            learned_activations=learned_activations,
            host_loss=host_loss,
        )
        memory = ByteBudgetBuffer(
            mem_bytes=mem_bytes,
            codec="raw" if masks == "none" else self.codec,
            growing=growing,
            order=order,
            boxes=self._measured,
            pool=pool,
            rank_stored=masks != "none",
        )
        super().__init__(
            mem_bytes=mem_bytes, join=join, batch_size_mem=batch_size_mem, storage_policy=memory
        )
        self._scale, self._factor = LossScale(), 1.0
        self._shown: ArtifactImages | None = None
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
        return self._measured.overlaps.get("cam_overlap")

    @property
    def true_overlap(self) -> float | None:
        """How much the boxes made last overlap with those that the stream knows.

        Mean intersection over union over the images of the latest experience; ``None`` without
        boxes, and for a stream that knows none.
        """
        return self._measured.overlaps.get("true_overlap")

    def check_stream(self, info: Any) -> None:
        """:raises UserError: for ``masks="oracle"`` on a stream that does not know any boxes."""
        if self.masks == "oracle" and not info.has_boxes:
            raise no_true_boxes(info.name)

    def after_train_dataset_adaptation(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        """Make the new images compressible, and join the exemplars to them.

        :raises UserError: for ``masks="oracle"`` and images without a known box.
        """
        if self.masks == "oracle" and true_boxes(strategy.adapted_dataset) is None:
            raise no_true_boxes("this data set")
        if self.masks == "cam-threshold":
            strategy.adapted_dataset, self._held_out = _hold_out(strategy.adapted_dataset)
        self._new = strategy.adapted_dataset.train()
        self._shown = None
        if self.artifacts.ever(strategy.train_epochs):
            self._shown = ArtifactImages(self._new, self.codec)
            strategy.adapted_dataset = self._shown.dataset()
        super().after_train_dataset_adaptation(strategy, **kwargs)

    def before_training_exp(
        self, strategy: TrainingStrategy, num_workers: int = 0, **kwargs: Any
    ) -> None:
        """Start the masks of this experience."""
        super().before_training_exp(strategy, num_workers=num_workers, **kwargs)
        self._scale.begin()
        if self.masks not in _LEARNED:
            return
        activations = self.learner.begin(strategy, self._new)
        if isinstance(self.rule, CamBoxes):
            self.rule.activations = activations
        size, device = self.learner.schedule.mask_batch_size, strategy.device
        new = without_extras(self._new)
        everything = new.concat(self.memory.buffer) if self.memory.records else new
        judged = everything if self.learner.schedule.outer == "all" else self._new
        self._batches = endless(everything, size, device), endless(judged, size, device)

    def before_training_epoch(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        """Make the boxes of the new images anew when it is time."""
        epoch, epochs = strategy.clock.train_exp_epochs, strategy.train_epochs
        if self._shown is not None and self.artifacts.refreshes(epoch, epochs):
            box_of = self.rule(strategy, self._new)
            self._shown.update(all_boxes(self._new, box_of), self.artifacts.share(epoch))

    def before_backward(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        """Add the loss of the masks where they are trained with the network.

        :raises UserError: if gradients accumulate over several mini-batches.
        """
        if self.masks == "joint":
            # A frozen backbone keeps the gradients of its last step; no backward pass adds to them.
            trained = [p for p in strategy.model.parameters() if p.requires_grad]
            check_single_pass(nn.ParameterList(trained), "masks='joint'")
            self._scale.before_backward(strategy)
            strategy.loss = strategy.loss + self.learner.joint_loss(strategy)

    def after_backward(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        """:raises UserError: if the scale of the gradients cannot be told."""
        if self.masks == "joint":
            self._factor = self._scale.after_backward(strategy)

    def after_update(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        """Let phi follow where it is trained with the network."""
        if self.masks == "joint":
            self.learner.joint_update(_progress(strategy), scale=self._factor)

    def after_training_epoch(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        """Take mask-level steps (Eq. 7 to 9)."""
        if self.masks != "bilevel" or self._batches is None:
            return
        classes = len(set(self._new.targets))
        count = max(1, int(self.learner.schedule.mask_steps * classes))
        self.learner.steps(strategy, *self._batches, count=count, progress=_progress(strategy))

    def after_training_exp(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        """Compress and select images of the experience, and store them."""
        if self._held_out is not None and isinstance(self.rule, CamBoxes):
            self.rule.threshold = choose_threshold(strategy, self._held_out, self.codec)
        super().after_training_exp(strategy, **kwargs)
        if self.masks in _LEARNED:
            self.learner.end()
        self._shown = self._new = self._held_out = self._batches = None

    def state_dict(self) -> dict[str, Any]:
        """Return exemplars, phi and threshold as tensors and plain data."""
        threshold = self.rule.threshold if isinstance(self.rule, CamBoxes) else None
        return {
            "memory": super().state_dict(),
            "masks": self.learner.state_dict(),
            "threshold": threshold,
            "cam_overlap": self.cam_overlap,
            "true_overlap": self.true_overlap,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """:raises UserError: if the state is damaged or was made with other options."""
        super().load_state_dict(state["memory"])
        self.learner.load_state_dict(state["masks"])
        overlaps = {name: state.get(name) for name in ("cam_overlap", "true_overlap")}
        self._measured.overlaps = {  # earlier releases have none
            name: value for name, value in overlaps.items() if value is not None
        }
        if isinstance(self.rule, CamBoxes):
            self.rule.threshold = state["threshold"]


def _rule(masks: str, threshold: float, area: float) -> BoxRule:
    if masks == "empty":
        return EmptyBoxes()
    if masks == "random":
        return RandomBoxes(area=area)
    if masks == "center":
        return CenterBoxes(area=area)
    if masks == "oracle":
        return TrueBoxes()
    return CamBoxes(threshold=threshold)


def _hold_out(dataset: Any) -> tuple[Any, Any]:
    """Split off one sample in ten of each class, at random."""
    rows: dict[int, list[int]] = {}
    for row in torch.randperm(len(dataset)).tolist():
        rows.setdefault(int(dataset.targets[row]), []).append(row)
    held = sorted(
        row for members in rows.values() for row in members[::_HELD_OUT][: len(members) // 2]
    )
    kept = sorted(set(range(len(dataset))) - set(held))
    return dataset.subset(kept), dataset.subset(held)


def _progress(strategy: TrainingStrategy) -> float:
    """Return the share of the experience's epochs that were over before this one."""
    return strategy.clock.train_exp_epochs / max(1, strategy.train_epochs)

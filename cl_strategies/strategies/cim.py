"""CIM (Luo, Liu, Schiele, Sun, "Class-Incremental Exemplar Compression for Class-Incremental
Learning", CVPR 2023)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codecs.two_resolution import TwoResolution
from cl_strategies.plugins.exemplars.options import Growing, Join, MemBytes, Pool
from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.plugins.masking.bilevel import MaskObjective, ObjectiveWeights
from cl_strategies.plugins.masking.compression_artifacts import ArtifactSchedule
from cl_strategies.plugins.masking.mask_learner import MaskSchedule, MaskSteps, criterion_loss
from cl_strategies.plugins.masking.options import LearnedActivations, Masks, Threshold
from cl_strategies.plugins.masking.plugin import CIMPlugin
from cl_strategies.strategies.templates.class_incremental import ClassIncremental
from cl_strategies.strategies.templates.hosts import HostName, host_loss, make_host
from cl_strategies.validation.hyperparameters import build_part

_RELEASED_INNER_LR = 0.01
_RELEASED_FIXED = ("auxiliary.*", "*shortcut*", "*downsample*")


class CIM(ClassIncremental):
    """Class-incremental masking: two-resolution exemplars whose masks are learned.

    The network must have a linear classifier on averaged feature maps, and ReLUs. The defaults are
    the paper's, save that ``artifact_interval`` is for its 170 to 200 epochs and should be about a
    fifth of the epochs of an experience.

    :raises UserError: for an option out of its range, or one that ``released`` decides.
    """

    parts = (TwoResolution, ArtifactSchedule, ObjectiveWeights, MaskSteps)

    def __init__(
        self,
        *,
        host: HostName = "replay",
        mem_bytes: MemBytes = 200_000,
        growing: Growing = False,
        masks: Masks = "bilevel",
        threshold: Threshold = 0.6,
        pool: Pool = True,
        join: Join = "concat",
        learned_activations: LearnedActivations = 0,
        released: Annotated[
            bool,
            Doc(
                "Do as the released code does where it differs from the paper: the outer loss and "
                "phi's start, shortcuts without inner step, the pixels of the soft background, an "
                "inner learning rate of 0.01."
            ),
        ] = False,
        **options: Any,
    ) -> None:
        codec = build_part(TwoResolution, options)
        self.learner = make_host(host)
        self.memory = self.masking = CIMPlugin(
            mem_bytes=mem_bytes,
            codec=codec,
            masks=masks,
            threshold=threshold,
            artifacts=build_part(ArtifactSchedule, options),
            objective=_objective(build_part(ObjectiveWeights, options), codec, released),
            schedule=_schedule(build_part(MaskSteps, options), released),
            learned_activations=learned_activations,
            growing=growing,
            pool=pool,
            join=join,
            host_loss=criterion_loss if self.learner is None else host_loss,
        )
        super().__init__(**options)

    def make_parts(
        self, options: dict[str, Any]
    ) -> tuple[IncrementalMethod[Any] | None, CIMPlugin]:
        return self.learner, self.masking


def _objective(weights: ObjectiveWeights, codec: TwoResolution, released: bool) -> MaskObjective:
    """Return the objective for masks of exemplars that ``codec`` stores."""
    return MaskObjective(
        **asdict(weights),
        eta=codec.eta,
        filter=codec.filter,
        fixed=_RELEASED_FIXED if released else _RELEASED_FIXED[:1],
        nearest="floor" if released else "pillow",
    )


def _schedule(steps: MaskSteps, released: bool) -> MaskSchedule:
    """Return the schedule of the paper, or that of the released code."""
    if not released:
        return MaskSchedule(**asdict(steps))
    if steps.inner_lr != MaskSteps.inner_lr:
        raise UserError(
            f"released=True sets inner_lr to {_RELEASED_INNER_LR}: leave it at {MaskSteps.inner_lr}"
        )
    options = {**asdict(steps), "inner_lr": _RELEASED_INNER_LR}
    return MaskSchedule(**options, outer="all", start="first")

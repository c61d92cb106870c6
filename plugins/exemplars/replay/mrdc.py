"""MRDC (Wang, Zhang, Yang, Zhang, Li, Hong, Zhu, "Memory Replay with Data Compression for Continual
Learning", ICLR 2022) as a plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer.encoder import Encoder
from cl_strategies.plugins.exemplars.buffer.quota import RECORD_BYTES
from cl_strategies.plugins.exemplars.codecs.whole_image import JPEG
from cl_strategies.plugins.exemplars.replay.jpeg_quality import (
    QUALITIES,
    TOLERANCE,
    QualityScore,
    choose_jpeg_quality,
    none_fits,
)
from cl_strategies.plugins.exemplars.replay.plugin import CompressedReplayPlugin
from cl_strategies.plugins.features.extraction import extract_features
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters

Classes = Annotated[
    int | None,
    Ge(0),
    Doc(
        "How many classes share the memory in the end, for the bytes per class that the quality is "
        "chosen for; 0 asks the stream. Not needed if ``growing``."
    ),
]
Qualities = Annotated[
    Sequence[int],
    Ge(1),
    Le(95),
    Doc("JPEG qualities to choose from, once, on the first experience."),
]
Tolerance = Annotated[
    float,
    Gt(0),
    Doc(
        "Epsilon: how far the volume that the features of compressed exemplars span may be from "
        "that of the originals, as a ratio."
    ),
]


@hyperparameters
class MRDCPlugin(CompressedReplayPlugin):
    """Replay from JPEG images whose quality is chosen once, on the first experience.

    What the choice needs is checked before that experience is trained: how many classes there will
    be, that an image fits, and that the network has features.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        classes: Classes = None,
        qualities: Qualities = QUALITIES,
        tolerance: Tolerance = TOLERANCE,
        **options: Any,
    ) -> None:
        super().__init__(codec="jpeg", **options)
        if classes is None and not self.memory.growing:
            raise UserError("MRDC needs the number of classes that will share the memory: classes=")
        self.classes = 1 if self.memory.growing else classes
        self.qualities = tuple(qualities)
        if not self.qualities:
            raise UserError("there are no qualities to choose from: give at least one, 1 to 95")
        self.tolerance = tolerance
        self.quality: int | None = None
        self.scores: list[QualityScore] = []

    def before_training_exp(
        self, strategy: TrainingStrategy, num_workers: int = 0, **kwargs: Any
    ) -> None:
        """:raises UserError: if the quality could not be chosen after the first experience."""
        super().before_training_exp(strategy, num_workers=num_workers, **kwargs)
        if self.quality is None:
            self._check(strategy)

    def _check(self, strategy: TrainingStrategy) -> None:
        dataset = strategy.experience.dataset
        encode = Encoder(dataset, JPEG(quality=min(self.qualities)), None)
        class_bytes = self._class_bytes(strategy)
        if not any(RECORD_BYTES + len(encode(row)) <= class_bytes for row in range(len(dataset))):
            raise UserError(none_fits(class_bytes, self.qualities))
        extract_features(strategy, dataset.subset([0]), layer=self.memory.layer)

    def _class_bytes(self, strategy: TrainingStrategy) -> int:
        return int(self.memory.max_size // (self.classes or _classes_of(strategy.experience)))

    def after_training_exp(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        """Choose the quality, the first time; store the experience."""
        if self.quality is None:
            self._use(*self._choose(strategy))
        super().after_training_exp(strategy, **kwargs)

    def _choose(self, strategy: TrainingStrategy) -> tuple[int, list[QualityScore]]:
        return choose_jpeg_quality(
            strategy,
            strategy.experience.dataset,
            self._class_bytes(strategy),
            qualities=self.qualities,
            tolerance=self.tolerance,
            layer=self.memory.layer,
        )

    def _use(self, quality: int, scores: list[QualityScore]) -> None:
        self.quality, self.scores = quality, scores
        self.memory.codec = JPEG(quality=quality)

    def state_dict(self) -> dict[str, Any]:
        """Return exemplars and quality as tensors and plain data."""
        scores = [tuple(score) for score in self.scores]
        return {"memory": super().state_dict(), "quality": self.quality, "scores": scores}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """:raises UserError: if the state is damaged or was made with other options."""
        super().load_state_dict(state["memory"])
        if state["quality"] is not None:
            self._use(state["quality"], [QualityScore(*score) for score in state["scores"]])


def _classes_of(experience: Any) -> int:
    """Return how many classes its stream has.

    :raises UserError: if the stream does not say.
    """
    stream = getattr(experience, "_origin_stream", None)  # Avalanche's property fails without one
    benchmark = getattr(experience, "benchmark", getattr(stream, "benchmark", None))
    info = getattr(benchmark, "info", None)
    count = getattr(info, "n_classes", getattr(benchmark, "n_classes", None))
    if count is None:
        raise UserError(
            "the stream does not say how many classes it has, which decides the bytes of each: "
            "give classes="
        )
    return int(count)

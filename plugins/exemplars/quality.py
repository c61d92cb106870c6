"""How hard to compress: MRDC's choice of a JPEG quality.

Wang et al., "Memory Replay with Data Compression for Continual Learning", ICLR 2022. Lower quality
means more exemplars in the same bytes, until compression distorts their features. The distortion
shows in the volume that the features of the chosen exemplars span.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codec import Codec
from cl_strategies.plugins.exemplars.encoding import AsStored, Encoder
from cl_strategies.plugins.exemplars.features import extract_features
from cl_strategies.plugins.exemplars.functional import (
    fit_budget,
    herding_order,
    log_volume_ratio,
)
from cl_strategies.plugins.exemplars.pixels import to_pixels
from cl_strategies.plugins.exemplars.quota import RECORD_BYTES
from cl_strategies.plugins.exemplars.replay import CompressedReplayPlugin
from cl_strategies.plugins.exemplars.source import (
    RawImages,
    image_transforms,
    labels_of,
    make_dataset,
)
from cl_strategies.plugins.exemplars.whole_image import JPEG
from cl_strategies.ranges import positive

QUALITIES = (10, 25, 50, 75, 90)


class QualityScore(NamedTuple):
    """What a JPEG quality would do to the exemplars of one experience.

    :param quality: 1 to 95.
    :param exemplars: how many fit, on average over the classes.
    :param volume_ratio: R_q: volume spanned by their features, relative to that of the same
        images uncompressed; geometric mean over the classes. 0 where no exemplar fits.
    """

    quality: int
    exemplars: float
    volume_ratio: float


def choose_jpeg_quality(
    agent: Any,
    dataset: Any,
    class_bytes: int,
    *,
    qualities: Sequence[int] = QUALITIES,
    tolerance: float = 0.5,
    layer: str | None = None,
) -> tuple[int, list[QualityScore]]:
    """The lowest quality, so the most exemplars, with ``|R_q - 1| < tolerance``.

    For each quality the images are compressed, herded by their features, and taken as far as
    ``class_bytes`` reach; then their volume is compared with that of their originals
    (:func:`~cl_strategies.plugins.exemplars.functional.log_volume_ratio`). Where all images fit at
    the highest quality there is nothing to compress, and that is chosen.

    :param agent: a strategy trained on ``dataset``.
    :param dataset: an Avalanche data set of images.
    :param class_bytes: bytes for the exemplars of one class.
    :param qualities: candidates.
    :param tolerance: epsilon of the paper.
    :param layer: layer whose input counts as features; the last one with weights if ``None``.
    :returns: the quality, and the scores of all candidates, lowest quality first.
    :raises UserError: if no quality is within the tolerance, or no exemplar fits at any.
    """
    labels, tasks = labels_of(dataset)
    rows: dict[int, Tensor] = {
        label: torch.tensor([row for row, other in enumerate(labels) if other == label])
        for label in sorted(set(labels))
    }
    original = extract_features(agent, dataset, layer=layer)
    _, kind = to_pixels(RawImages(dataset)[0])
    scores = []
    for quality in sorted(qualities):
        codec: Codec = JPEG(quality=quality)
        encode = Encoder(dataset, codec, None)
        stored = AsStored(encode, codec, kind, labels)
        view = make_dataset(stored, labels, tasks, image_transforms(dataset))
        features = extract_features(agent, view, layer=layer)
        costs = [RECORD_BYTES + len(encode(row)) for row in range(len(labels))]
        scores.append(_score(quality, rows, original, features, costs, class_bytes))
    if not any(score.exemplars for score in scores):
        raise UserError(_none_fits(class_bytes, [score.quality for score in scores]))
    if scores[-1].exemplars == len(labels) / len(rows):
        return scores[-1].quality, scores
    for score in scores:
        if score.exemplars and abs(score.volume_ratio - 1) < tolerance:
            return score.quality, scores
    found = ", ".join(f"{score.quality}: {score.volume_ratio:.3g}" for score in scores)
    raise UserError(
        f"no JPEG quality keeps the volume of the features within {tolerance} of the originals' "
        f"(quality: ratio {found}): add higher qualities, or allow more"
    )


def _score(
    quality: int,
    rows: Mapping[int, Tensor],
    original: Tensor,
    compressed: Tensor,
    costs: Sequence[int],
    class_bytes: int,
) -> QualityScore:
    counts: list[int] = []
    gaps: list[float] = []
    for members in rows.values():
        order = members[herding_order(compressed[members])]
        count = fit_budget([costs[row] for row in order.tolist()], class_bytes)
        counts.append(count)
        if count:
            gaps.append(log_volume_ratio(compressed[order[:count]], original[order[:count]]))
    ratio = math.exp(min(700.0, sum(gaps) / len(gaps))) if gaps else 0.0
    return QualityScore(quality, sum(counts) / len(counts), ratio)


def _none_fits(class_bytes: int, qualities: Sequence[int]) -> str:
    return (
        f"{class_bytes} bytes per class hold no exemplar that could span a volume, at none of the "
        f"qualities {list(qualities)}: give the memory more bytes, or add lower qualities"
    )


class MRDCPlugin(CompressedReplayPlugin):
    """Replay from JPEG images whose quality is chosen once, on the first experience.

    What the choice needs is checked before that experience is trained: how many classes there will
    be, that an image fits, and that the network has features.

    :param mem_size: bytes of the memory, or of each class if ``growing``.
    :param classes: how many classes will share the memory in the end; with it the bytes per class
        are known that the quality is chosen for. 0 asks the stream. Not needed if ``growing``.
    :param qualities: candidates.
    :param tolerance: epsilon of the paper.
    :param options: as for :class:`CompressedReplayPlugin`.
    :raises UserError: for an option out of range.
    """

    def __init__(
        self,
        mem_size: int = 1_000_000,
        *,
        classes: int | None = None,
        qualities: Sequence[int] = QUALITIES,
        tolerance: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(mem_size, codec="jpeg", **options)
        if classes is None and not self.memory.growing:
            raise UserError("MRDC needs the number of classes that will share the memory: classes=")
        positive(tolerance=tolerance)
        self.classes = 1 if self.memory.growing else classes
        self.qualities = tuple(qualities)
        for quality in self.qualities:
            JPEG(quality=quality)
        if not self.qualities:
            raise UserError("there are no qualities to choose from: give at least one, 1 to 95")
        self.tolerance = tolerance
        self.quality: int | None = None
        self.scores: list[QualityScore] = []

    def before_training_exp(self, strategy: Any, num_workers: int = 0, **kwargs: Any) -> None:
        """:raises UserError: if the quality could not be chosen after the first experience."""
        super().before_training_exp(strategy, num_workers=num_workers, **kwargs)
        if self.quality is None:
            self._check(strategy)

    def _check(self, strategy: Any) -> None:
        dataset = strategy.experience.dataset
        encode = Encoder(dataset, JPEG(quality=min(self.qualities)), None)
        class_bytes = self._class_bytes(strategy)
        if not any(RECORD_BYTES + len(encode(row)) <= class_bytes for row in range(len(dataset))):
            raise UserError(_none_fits(class_bytes, self.qualities))
        extract_features(strategy, dataset.subset([0]), layer=self.memory.layer)

    def _class_bytes(self, strategy: Any) -> int:
        return int(self.memory.max_size // (self.classes or _classes_of(strategy.experience)))

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Choose the quality, the first time; store the experience."""
        if self.quality is None:
            self._use(*self._choose(strategy))
        super().after_training_exp(strategy, **kwargs)

    def _choose(self, strategy: Any) -> tuple[int, list[QualityScore]]:
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
        """Exemplars and quality as tensors and plain data."""
        scores = [tuple(score) for score in self.scores]
        return {"memory": super().state_dict(), "quality": self.quality, "scores": scores}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """:raises UserError: if the state is damaged or was made with other options."""
        super().load_state_dict(state["memory"])
        if state["quality"] is not None:
            self._use(state["quality"], [QualityScore(*score) for score in state["scores"]])


def _classes_of(experience: Any) -> int:
    """How many classes its stream has.

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

"""Choose a JPEG quality by the volume that features span, as MRDC does.

Wang et al., "Memory Replay with Data Compression for Continual Learning", ICLR 2022. Lower quality
means more exemplars in the same bytes, until compression distorts their features. The distortion
shows in the volume that the features of the chosen exemplars span.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer.avalanche_data import (
    RawImages,
    image_transforms,
    labels_of,
    make_dataset,
)
from cl_strategies.plugins.exemplars.buffer.encoder import AsStored, Encoder
from cl_strategies.plugins.exemplars.buffer.quota import RECORD_BYTES
from cl_strategies.plugins.exemplars.codecs.base import Codec
from cl_strategies.plugins.exemplars.codecs.pixels import to_pixels
from cl_strategies.plugins.exemplars.codecs.whole_image import JPEG
from cl_strategies.plugins.exemplars.functional import (
    fit_budget,
    herding_order,
    log_volume_ratio,
)
from cl_strategies.plugins.features.extraction import extract_features
from cl_strategies.plugins.protocols.evaluable import Evaluable

QUALITIES = (10, 25, 50, 75, 90)
TOLERANCE = 0.5


class QualityScore(NamedTuple):
    """What a JPEG quality would do to the exemplars of one experience.

    :param quality: JPEG quality, 1 to 95.
    :param exemplars: How many exemplars of a class fit, on average over the classes.
    :param volume_ratio: R_q: volume spanned by their features, relative to that of the same
        images uncompressed; geometric mean over the classes. 0 where no exemplar fits.
    """

    quality: int
    exemplars: float
    volume_ratio: float


def choose_jpeg_quality(
    strategy: Evaluable,
    dataset: Any,
    class_bytes: int,
    *,
    qualities: Sequence[int] = QUALITIES,
    tolerance: float = TOLERANCE,
    layer: str | None = None,
) -> tuple[int, list[QualityScore]]:
    """Return the lowest quality, so the most exemplars, with ``|R_q - 1| < tolerance``.

    For each quality the images are compressed, herded by their features, and taken as far as
    ``class_bytes`` reach; then their volume is compared with that of their originals
    (:func:`~cl_strategies.plugins.exemplars.functional.log_volume_ratio`). Where all images fit at
    the highest quality there is nothing to compress, and that is chosen. Where no quality is
    within the tolerance, the one whose volume comes nearest is chosen, with a warning: the network
    is trained by then.

    :param strategy: A strategy that was trained on ``dataset``.
    :param dataset: An Avalanche data set of images.
    :param class_bytes: Bytes for the exemplars of one class.
    :param qualities: JPEG qualities to choose from, 1 to 95.
    :param tolerance: Epsilon of the paper.
    :param layer: Layer whose input counts as features; the last one with weights if ``None``.
    :returns: the quality, and the scores of all candidates, lowest quality first.
    :raises UserError: if no exemplar fits at any quality.
    """
    labels, tasks = labels_of(dataset)
    rows: dict[int, Tensor] = {
        label: torch.tensor([row for row, other in enumerate(labels) if other == label])
        for label in sorted(set(labels))
    }
    original = extract_features(strategy, dataset, layer=layer)
    _, kind = to_pixels(RawImages(dataset)[0])
    scores = []
    for quality in sorted(qualities):
        codec: Codec = JPEG(quality=quality)
        encode = Encoder(dataset, codec, None)
        stored = AsStored(encode, codec, kind, labels)
        view = make_dataset(stored, labels, tasks, image_transforms(dataset))
        features = extract_features(strategy, view, layer=layer)
        costs = [RECORD_BYTES + len(encode(row)) for row in range(len(labels))]
        scores.append(_score(quality, rows, original, features, costs, class_bytes))
    if not any(score.exemplars for score in scores):
        raise UserError(none_fits(class_bytes, [score.quality for score in scores]))
    if scores[-1].exemplars == len(labels) / len(rows):
        return scores[-1].quality, scores
    for score in scores:
        if score.exemplars and abs(score.volume_ratio - 1) < tolerance:
            return score.quality, scores
    nearest = min(
        (score for score in scores if score.exemplars),
        key=lambda score: abs(math.log(max(score.volume_ratio, sys.float_info.min))),
    )
    found = ", ".join(f"{score.quality}: {score.volume_ratio:.3g}" for score in scores)
    warnings.warn(
        f"no JPEG quality keeps the volume of the features within {tolerance} of the originals' "
        f"(quality: ratio {found}): {nearest.quality} comes nearest and is taken; add higher "
        "qualities, or allow more",
        stacklevel=2,
    )
    return nearest.quality, scores


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


def none_fits(class_bytes: int, qualities: Sequence[int]) -> str:
    """Return the message for a memory that is too small at every quality."""
    return (
        f"{class_bytes} bytes per class hold no exemplar that could span a volume, at none of the "
        f"qualities {list(qualities)}: give the memory more bytes, or add lower qualities"
    )

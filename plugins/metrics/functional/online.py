"""Accuracy while a stream is trained, each sample once and tested before it is trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.matrix.inputs import as_matrix, one_of
from cl_strategies.plugins.metrics.functional.samples import as_classes


def online_accuracy(labels: Any, predictions: Any) -> float:
    """Compute the share of samples that were predicted right before they were trained.

    Cai et al., "Online Continual Learning with Natural Distribution Shifts", ICCV 2021. Higher is
    better; NaN without samples. Print :func:`blind_accuracy` beside it.

    :param labels: classes (n,) of the samples that were predicted, in the order of the stream.
    :param predictions: classes (n,) predicted for them by the model that had trained on all samples
        before, and on none of the same mini-batch.
    :raises UserError: if they are not lists of classes of equal length.
    """
    y = as_classes(labels, "labels")
    p = as_classes(predictions, "predictions", len(y))
    return float((y == p).mean()) if len(y) else float("nan")


def near_future_accuracy(labels: Any, predictions: Any, delay: int = 0) -> float:
    """Compute the share of samples right that come ``1 + delay`` after the newest trained one.

    Hammoud et al., "Rapid Adaptation in Online Continual Learning: Are We Evaluating It Right?",
    ICCV 2023. With ``delay = 0`` it is :func:`online_accuracy`. Higher is better; NaN for a stream
    not longer than ``delay + 1``.

    :param labels: classes (n,) of all samples of the stream, in order.
    :param predictions: entry ``t`` is the class predicted for sample ``t + 1 + delay`` by the model
        that has trained up to sample ``t``: ``n - 1 - delay`` entries, the tail has no target.
    :param delay: samples between the newest trained one and the one predicted; see
        :func:`smallest_blind_delay`.
    :raises UserError: if ``delay`` is negative or the lengths do not go together.
    """
    targets = _targets(labels, delay)
    return online_accuracy(targets, as_classes(predictions, "predictions", len(targets)))


def blind_accuracy(labels: Any, delay: int = 0) -> float:
    """Compute :func:`near_future_accuracy` of predicting the label of the newest trained sample.

    What a stream gives away without a look at a sample: 0.75 for three classes of three samples
    each, one after the other.

    :param labels: classes (n,) of all samples of the stream, in order.
    :param delay: as for :func:`near_future_accuracy`.
    :raises UserError: see :func:`near_future_accuracy`.
    """
    y = as_classes(labels, "labels")
    return near_future_accuracy(y, y[: len(_targets(y, delay))], delay)


def smallest_blind_delay(
    labels: Any, chance: float | None = None, *, max_delay: int = 10_000
) -> int | None:
    """Return the smallest delay at which the blind classifier is no better than chance.

    Hammoud et al., ICCV 2023; find it once for a stream and store it.

    :param labels: classes (n,) of all samples of the stream, in order.
    :param chance: accuracy of guessing; 1 over the number of classes if left out.
    :param max_delay: largest delay that is tried; beyond half of the stream none is.
    :return: a delay, or ``None`` if there is none.
    :raises UserError: if they are not a list of classes.
    """
    y = as_classes(labels, "labels")
    level = 1 / max(1, len(np.unique(y))) if chance is None else chance
    for delay in range(min(max_delay, len(y) // 2 - 1) + 1):
        if (y[1 + delay :] == y[: -1 - delay]).mean() <= level:
            return delay
    return None


def anytime_accuracy(accuracies: Any, *, variant: str = "seen") -> float:
    """Compute the mean of accuracies at ``H`` equally spaced points of each experience.

    With ``"seen"`` it is :func:`average_anytime_accuracy` (Caccia et al., ICLR 2022). Higher is
    better; NaN if an accuracy that counts is missing.

    :param accuracies: accuracies (T, H, N) after each part of each training experience.
    :param variant: ``"seen"``, mean over test experiences ``i <= t``; ``"all"``, over all of them.
    :raises UserError: for another shape or variant, or fewer test than training experiences.
    """
    one_of(variant, ("seen", "all"))
    table = np.asarray(accuracies, dtype=np.float64)
    if table.ndim != 3 or table.size == 0 or table.shape[2] < table.shape[0]:
        raise UserError(
            f"anytime accuracies have the shape (training experiences, points in each, test "
            f"experiences), with a test experience for each training experience; got {table.shape}"
        )
    as_matrix(table.reshape(len(table), -1))
    columns = table.shape[2]
    means = [
        row[:, : t + 1 if variant == "seen" else columns].mean() for t, row in enumerate(table)
    ]
    return float(np.mean(means))


def _targets(labels: Any, delay: int) -> Any:
    if delay < 0:
        raise UserError(f"delay must be 0 or more; got {delay}")
    return as_classes(labels, "labels")[1 + delay :]

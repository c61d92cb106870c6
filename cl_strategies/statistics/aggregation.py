"""One number for several streams, and the distribution behind it (Agarwal et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from cl_strategies.errors import UserError
from cl_strategies.statistics.effects import superiority
from cl_strategies.validation.arrays import Floats, numbers
from cl_strategies.validation.numbers import finite


@dataclass(frozen=True, kw_only=True)
class Aggregates:
    """Aggregates of the scores of one method, shape (runs, streams).

    :param median_of_stream_means: inefficient with few streams; shown because others print it.
    :param iqm: mean of the middle half of all runs. It leaves out the streams where a method
        collapses: read ``worst_stream_mean`` beside it.
    :param optimality_gap: gamma - mean(min(score, gamma)).
    :param probability_of_improvement: over another method, the mean over streams of P(x > y);
        ``None`` without one.
    :param run_profile: share of runs with a score above each tau, ``mean_profile`` of stream means.
    """

    mean: float
    median_of_stream_means: float
    iqm: float
    optimality_gap: float
    worst_stream_mean: float
    probability_of_improvement: float | None
    taus: tuple[float, ...]
    run_profile: tuple[float, ...]
    mean_profile: tuple[float, ...]


def interquartile_mean(scores: Any) -> float:
    """Return the mean after floor(n / 4) of all scores were cut from each end."""
    array = np.asarray(scores, dtype=np.float64)
    return float(stats.trim_mean(array, 0.25, axis=None))


def aggregates(x: Any, y: Any = None, *, gamma: float = 1.0, taus: Any = ()) -> Aggregates:
    """Aggregate scores over streams.

    :param x: scores, shape (runs, streams), best normalized by ``stream_normalized``.
    :param y: those of another method on the same streams, any number of runs.
    :param gamma: score that counts as perfect.
    :param taus: thresholds of the profiles.
    :raises UserError: for tables of another shape, or other streams in ``y``.
    """
    finite(gamma=gamma)
    scores = numbers(x, "the scores (runs, streams)", ndim=2)
    levels = numbers(taus, "taus", ndim=1) if np.size(taus) else np.empty(0)
    means = scores.mean(axis=0)
    improvement = None
    if y is not None:
        others = numbers(y, "the other scores (runs, streams)", ndim=2)
        if others.shape[1] != scores.shape[1]:
            raise UserError(
                f"x has {scores.shape[1]} streams and y {others.shape[1]}: give the same ones"
            )
        pairs = zip(scores.T, others.T, strict=True)
        improvement = float(np.mean([superiority(a, b) for a, b in pairs]))
    return Aggregates(
        mean=float(scores.mean()),
        median_of_stream_means=float(np.median(means)),
        iqm=interquartile_mean(scores),
        optimality_gap=float(gamma - np.minimum(scores, gamma).mean()),
        worst_stream_mean=float(means.min()),
        probability_of_improvement=improvement,
        taus=tuple(levels.tolist()),
        run_profile=_profile(scores, levels),
        mean_profile=_profile(means, levels),
    )


def _profile(scores: Floats, taus: Floats) -> tuple[float, ...]:
    return tuple(float((scores > tau).mean()) for tau in taus)


def stream_normalized(x: Any, low: Any, high: Any) -> Floats:
    """Return (x - low) / (high - low) for each stream, not clipped.

    :param x: scores, shape (runs, streams).
    :param low: shape (streams,): the mean of chance or of fine-tuning over its own seeds.
    :param high: shape (streams,): the mean of joint training over its own seeds.
    :return: shape (runs, streams); ``NaN`` on streams where ``high`` is not above ``low``, which
        leave nothing to be gained.
    :raises UserError: for shapes that do not fit.
    """
    scores = numbers(x, "the scores (runs, streams)", ndim=2)
    ends = numbers(low, "low", ndim=1), numbers(high, "high", ndim=1)
    if any(len(end) != scores.shape[1] for end in ends):
        raise UserError(f"low and high need one number for each of {scores.shape[1]} streams")
    span = ends[1] - ends[0]
    return (scores - ends[0]) / np.where(span > 0, span, np.nan)

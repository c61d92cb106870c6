"""Calibration: whether a confidence of 0.8 is right in 80 of 100 cases.

The confidence is the largest softmax value among the classes that compete: say which.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.matrix.inputs import Matrix, as_vector
from cl_strategies.plugins.metrics.functional.samples import Flags, as_classes, as_flags

_BELOW_ROUNDING = 1e-6


def expected_calibration_error(
    confidence: Any, correct: Any, bins: int = 15, *, adaptive: bool = False
) -> float:
    """Compute ``ECE = sum_m |B_m| / n  |accuracy of B_m - mean confidence of B_m|``.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. Bins are ``(lower, upper]``
    of equal width; a confidence of 0 is in the first. Lower is better, but few samples make it
    large: compare at equal numbers, and see :func:`calibration_floor`. NaN without samples.

    :param confidence: confidences (n,) in [0, 1].
    :param correct: whether the prediction is right (n,).
    :param bins: number of bins.
    :param adaptive: sort by confidence (stable) and take bins of equal counts; the first ones have
        one more where ``bins`` does not divide ``n``.
    :raises UserError: for other values, different lengths, or no bin.
    """
    c, right = _samples(confidence, correct)
    bin_of, counts = _bins(c, bins, adaptive)
    return _error(c, right, bin_of, counts)


def reliability(
    confidence: Any, correct: Any, bins: int = 15
) -> tuple[npt.NDArray[np.int64], Matrix, Matrix]:
    """Return what a reliability diagram shows: samples, accuracy and mean confidence of each bin.

    :param confidence: confidences (n,) in [0, 1].
    :param correct: whether the prediction is right (n,).
    :param bins: number of bins of equal width.
    :return: three vectors (bins,); NaN in the last two for an empty bin.
    :raises UserError: see :func:`expected_calibration_error`.
    """
    c, right = _samples(confidence, correct)
    bin_of, counts = _bins(c, bins, adaptive=False)
    with np.errstate(invalid="ignore"):
        return (
            counts,
            np.bincount(bin_of, right, minlength=bins) / counts,
            np.bincount(bin_of, c, minlength=bins) / counts,
        )


def overconfidence(confidence: Any, correct: Any) -> float:
    """Compute the mean confidence minus the accuracy. 0 is best, above it is overconfident.

    NaN without samples.

    :param confidence: confidences (n,) in [0, 1].
    :param correct: whether the prediction is right (n,).
    :raises UserError: for other values or different lengths.
    """
    c, right = _samples(confidence, correct)
    return float(c.mean() - right.mean()) if len(c) else float("nan")


def brier_top_label(confidence: Any, correct: Any) -> float:
    """Compute the mean of ``(confidence - correct)^2``. Lower is better; NaN without samples.

    :param confidence: confidences (n,) in [0, 1].
    :param correct: whether the prediction is right (n,).
    :raises UserError: for other values or different lengths.
    """
    c, right = _samples(confidence, correct)
    return float(((c - right) ** 2).mean()) if len(c) else float("nan")


def brier_score(probabilities: Any, labels: Any) -> float:
    """Compute the mean squared distance of the probabilities from the one-hot label.

    Brier, "Verification of Forecasts Expressed in Terms of Probability", 1950: a proper score, in
    [0, 2], fit for ranking. Lower is better; NaN without samples.

    :param probabilities: probabilities (n, C), rows that sum to 1.
    :param labels: classes (n,).
    :raises UserError: for other shapes or values.
    """
    table, y = _probabilities(probabilities, labels)
    target = np.zeros_like(table)
    target[np.arange(len(y)), y] = 1
    return float(((table - target) ** 2).sum(axis=1).mean()) if len(y) else float("nan")


def negative_log_likelihood(probabilities: Any, labels: Any) -> float:
    """Compute the mean of ``-log`` of the label's probability. Lower is better.

    A proper score, fit for ranking; infinite if a label has the probability 0, NaN without samples.

    :param probabilities: probabilities (n, C), rows that sum to 1.
    :param labels: classes (n,).
    :raises UserError: for other shapes or values.
    """
    table, y = _probabilities(probabilities, labels)
    with np.errstate(divide="ignore"):
        return float(-np.log(table[np.arange(len(y)), y]).mean()) if len(y) else float("nan")


def calibration_floor(
    confidence: Any,
    bins: int = 15,
    *,
    adaptive: bool = False,
    draws: int = 200,
    seed: int = 0,
) -> float:
    """Return the calibration error that a perfectly calibrated model has with these confidences.

    The mean of :func:`expected_calibration_error` over draws of whether each prediction is right,
    with its confidence as the probability. Print it beside errors of fewer than 1000 samples.

    :param confidence: confidences (n,) in [0, 1].
    :param bins: number of bins.
    :param adaptive: as for :func:`expected_calibration_error`.
    :param draws: number of draws.
    :param seed: seed of the draws.
    :raises UserError: see :func:`expected_calibration_error`; also for no draw.
    """
    c, _ = _samples(confidence, np.zeros(np.shape(as_vector(confidence, "confidence"))))
    if draws < 1:
        raise UserError(f"the floor needs 1 draw or more; got {draws}")
    bin_of, counts = _bins(c, bins, adaptive)
    generator = np.random.default_rng(seed)
    errors = [_error(c, generator.random(len(c)) < c, bin_of, counts) for _ in range(draws)]
    return float(np.mean(errors))


def _samples(confidence: Any, correct: Any) -> tuple[Matrix, Flags]:
    c = as_vector(confidence, "confidence")
    if np.isnan(c).any() or (c > 1 + _BELOW_ROUNDING).any():
        raise UserError("confidence must be numbers in [0, 1], one for each sample")
    return c.clip(0, 1), as_flags(correct, "correct", len(c))


def _bins(c: Matrix, bins: int, adaptive: bool) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    if bins < 1:
        raise UserError(f"bins must be 1 or more; got {bins}")
    bin_of = np.clip(np.ceil(c * bins).astype(np.int64) - 1, 0, bins - 1)
    if adaptive:
        for number, members in enumerate(np.array_split(np.argsort(c, kind="stable"), bins)):
            bin_of[members] = number
    return bin_of, np.bincount(bin_of, minlength=bins)


def _error(c: Matrix, right: Flags, bin_of: npt.NDArray[Any], counts: npt.NDArray[Any]) -> float:
    """Sum the differences of the bins: with sums instead of means the counts cancel."""
    differences = np.bincount(bin_of, right - c, minlength=len(counts))
    return float(np.abs(differences).sum() / len(c)) if len(c) else float("nan")


def _probabilities(probabilities: Any, labels: Any) -> tuple[Matrix, npt.NDArray[np.int64]]:
    y = as_classes(labels, "labels")
    values = probabilities.detach().cpu() if hasattr(probabilities, "detach") else probabilities
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or len(table) != len(y) or (len(y) and y.max() >= table.shape[1]):
        raise UserError(
            f"probabilities must have a row for each of {len(y)} samples and a column for each "
            f"class; got shape {table.shape}"
        )
    if not ((table >= 0).all() and np.allclose(table.sum(axis=1), 1, atol=1e-3)):
        raise UserError("probabilities must be rows of numbers that are not negative and sum to 1")
    return table, y

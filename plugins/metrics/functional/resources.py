"""Scores of what a method costs beside what it reaches.

Any weighted sum of accuracy and costs is arbitrary: show the parts, and never sort by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.matrix.inputs import Matrix, as_number, as_vector


def model_size_efficiency(model_bytes: Any) -> float:
    """Compute ``min(1, mean_i Mem(theta_0) / Mem(theta_i))``. Higher is better.

    MS of Diaz-Rodriguez et al., 2018. NaN without experiences, or if a size is missing or 0.

    :param model_bytes: size of the model after each experience, in any unit.
    :raises UserError: for negative numbers.
    """
    sizes = as_vector(model_bytes, "model_bytes")
    return _at_most_1(sizes[0] / sizes) if len(sizes) and sizes.all() else float("nan")


def sample_storage_efficiency(memory_bytes: Any, dataset_bytes: float) -> float:
    """Compute ``1 - min(1, mean_i Mem(M_i) / Mem(D))``. Higher is better.

    SSS of Diaz-Rodriguez et al., 2018. NaN without experiences, or if a size is missing or the data
    set has none.

    :param memory_bytes: size of the stored samples after each experience, in any unit.
    :param dataset_bytes: size of all training data, in the same unit.
    :raises UserError: for negative numbers.
    """
    sizes, whole = (
        as_vector(memory_bytes, "memory_bytes"),
        as_number(dataset_bytes, "dataset_bytes"),
    )
    return 1 - _at_most_1(sizes / whole) if len(sizes) and whole else float("nan")


def computational_efficiency(
    operations_once: Any, operations_training: Any, epsilon: float = 1.0
) -> float:
    """Compute ``min(1, mean_i epsilon Ops(once over i) / Ops(training of i))``. Higher is better.

    CE of Diaz-Rodriguez et al., 2018. NaN without experiences, or if a number is missing or a
    training took no operation.

    :param operations_once: operations of one forward and backward pass over the data of each
        experience.
    :param operations_training: operations that its training took.
    :param epsilon: factor, such as the number of epochs.
    :raises UserError: for negative numbers or different lengths.
    """
    once = as_vector(operations_once, "operations_once")
    taken = as_vector(operations_training, "operations_training")
    if len(once) != len(taken):
        raise UserError(
            f"operations_once and operations_training must have a number for each experience; got "
            f"{len(once)} and {len(taken)}"
        )
    return _at_most_1(epsilon * once / taken) if len(once) and taken.all() else float("nan")


def cl_score(criteria: Any, weights: Any) -> float:
    """Compute the weighted sum of criteria in [0, 1]. Higher is better.

    Diaz-Rodriguez et al., 2018. NaN if a criterion is missing.

    :param criteria: values, each in [0, 1] with 1 best.
    :param weights: weights that sum to 1.
    :raises UserError: for other values, weights or different lengths.
    """
    values, parts = _weighted(criteria, weights)
    return float((values * parts).sum())


def cl_stability(deviations: Any, weights: Any) -> float:
    """Compute ``1 -`` the weighted sum of the standard deviations of the criteria over runs.

    Diaz-Rodriguez et al., 2018. Higher is better; NaN if one is missing.

    :param deviations: standard deviation of each criterion.
    :param weights: weights that sum to 1.
    :raises UserError: for other values, weights or different lengths.
    """
    values, parts = _weighted(deviations, weights)
    return float(1 - (values * parts).sum())


def sequoia_score(online: float, final: float, seconds: float) -> float:
    """Compute ``0.3 online + 0.4 final + 0.3 runtime``. Higher is better.

    Sequoia (Normandin et al., 2021): the runtime falls from 1 at no time to 0 at 12 hours. NaN if
    a number is missing.

    :param online: online accuracy, in [0, 1].
    :param final: final accuracy, in [0, 1].
    :param seconds: seconds that the run took.
    :raises UserError: for other values.
    """
    accuracies, _ = _weighted([online, final], [0.5, 0.5])
    runtime = np.clip(1 - as_number(seconds, "seconds") / (12 * 3600), 0, 1)
    return float(0.3 * accuracies[0] + 0.4 * accuracies[1] + 0.3 * runtime)


def relative_time(seconds: float, seconds_reference: float) -> float:
    """Compute seconds over those of plain fine-tuning on the same machine and data.

    Lower is better; NaN if one is missing or the reference took none.

    :param seconds: of the method.
    :param seconds_reference: of plain fine-tuning.
    :raises UserError: for negative numbers.
    """
    return _ratio(as_number(seconds, "seconds"), as_number(seconds_reference, "seconds_reference"))


def time_normalized_accuracy(accuracy: float, seconds: float, seconds_reference: float) -> float:
    """Compute the accuracy over :func:`relative_time`. Higher is better; no paper's.

    NaN if a number is missing or one of the times is 0.

    :param accuracy: a final accuracy.
    :param seconds: of the method.
    :param seconds_reference: of plain fine-tuning.
    :raises UserError: for negative numbers.
    """
    return _ratio(as_number(accuracy, "accuracy"), relative_time(seconds, seconds_reference))


def memory_normalized_accuracy(accuracy: float, bytes_used: float, bytes_reference: float) -> float:
    """Compute the accuracy over the share of a reference's bytes. Higher is better; no paper's.

    NaN if a number is missing or one of the sizes is 0.

    :param accuracy: a final accuracy.
    :param bytes_used: all bytes of the method: model, memory and extra state.
    :param bytes_reference: all bytes of the reference.
    :raises UserError: for negative numbers.
    """
    share = _ratio(
        as_number(bytes_used, "bytes_used"), as_number(bytes_reference, "bytes_reference")
    )
    return _ratio(as_number(accuracy, "accuracy"), share)


def pareto_front(values: Any, higher_is_better: Any, margins: Any = 0.0) -> npt.NDArray[np.bool_]:
    """Return which variants no other one dominates (variants,).

    A variant is dominated if another is at least as good in everything and better in something by
    more than the margin; one with a missing value neither dominates nor is on the front.

    :param values: values (variants, criteria), such as accuracy, bytes and seconds.
    :param higher_is_better: for each criterion whether more is better.
    :param margins: differences up to which two values are equally good, one or for each criterion.
    :raises UserError: if the shapes do not go together.
    """
    table = np.array(values, dtype=np.float64)
    signs = np.where(np.asarray(higher_is_better, dtype=bool), 1.0, -1.0)
    if table.ndim != 2 or signs.shape != (table.shape[1],):
        raise UserError(
            f"values must be a table (variants, criteria), and higher_is_better have an entry for "
            f"each criterion; got shapes {table.shape} and {signs.shape}"
        )
    gain = (table[None] - table[:, None]) * signs  # of the second axis over the first
    as_good = (gain >= 0).all(axis=2)
    better = np.any(gain > np.asarray(margins), axis=2)
    complete = ~np.isnan(table).any(axis=1)
    return np.asarray(~(as_good & better).any(axis=1) & complete)


def _at_most_1(ratios: Matrix) -> float:
    return float(np.minimum(1.0, ratios.mean()))


def _ratio(value: float, whole: float) -> float:
    return float("nan") if whole == 0 else value / whole


def _weighted(values: Any, weights: Any) -> tuple[Matrix, Matrix]:
    criteria, parts = as_vector(values, "criteria"), as_vector(weights, "weights")
    if (criteria > 1).any():
        raise UserError(f"criteria must be in [0, 1]; got {np.nanmax(criteria):g}")
    if len(criteria) != len(parts) or not np.isclose(parts.sum(), 1):
        raise UserError(
            f"weights must sum to 1, one for each of {len(criteria)} criteria; got "
            f"{len(parts)} with the sum {parts.sum():g}"
        )
    return criteria, parts

"""How fast an experience is learned: areas under the curves of its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.matrix.inputs import Matrix, as_fractions, as_vector


def accuracy_after_batches(curves: Sequence[Any], beta: int = 10) -> Matrix:
    """Compute ``Z_b``, the mean over experiences of the accuracy after ``b`` mini-batches.

    Chaudhry et al., "Efficient Lifelong Learning with A-GEM", ICLR 2019. Entry 0 is before the
    first update of an experience. NaN where an experience has no evaluation after ``b``.

    :param curves: for each experience the accuracies on it after 0, 1, ... mini-batches of its
        training, at least ``beta + 1`` of them; what follows does not count.
    :param beta: number of mini-batches.
    :return: ``Z`` (beta + 1,).
    :raises UserError: if there is no curve, ``beta`` is negative, or an accuracy is not a number.
    """
    if beta < 0 or len(curves) == 0:
        raise UserError(
            f"the learning curve needs beta of 0 or more and a curve for each experience; got "
            f"beta={beta} and {len(curves)} curves"
        )
    table = np.full((len(curves), beta + 1), np.nan)
    for row, curve in zip(table, _curves(curves), strict=True):
        row[: len(curve)] = curve[: beta + 1]
    return np.asarray(table.mean(axis=0))


def learning_curve_area(
    curves: Sequence[Any], beta: int = 10, *, include_zero_shot: bool = True
) -> float:
    """Compute ``LCA_beta``, the mean of ``Z_b`` over ``b = 0 .. beta``. Higher is better.

    Chaudhry et al., ICLR 2019. Depends on the size of a mini-batch: compare at equal sizes. NaN if
    an experience has fewer than ``beta`` mini-batches or an evaluation is missing.

    :param curves: as for :func:`accuracy_after_batches`.
    :param beta: number of mini-batches; 10 in the paper.
    :param include_zero_shot: whether ``b = 0`` counts, the accuracy on an experience that was not
        trained yet. Without it (``lca_without_zero_shot``) the value exists also where
        :func:`forward_transfer_gap` says that such an accuracy means nothing.
    :raises UserError: see :func:`accuracy_after_batches`; also for ``beta = 0`` without it.
    """
    if beta == 0 and not include_zero_shot:
        raise UserError("beta=0 is the zero-shot accuracy alone: take include_zero_shot=True")
    return float(accuracy_after_batches(curves, beta)[0 if include_zero_shot else 1 :].mean())


def learning_curve_forward_transfer(curves: Any, isolated: Any) -> float:
    """Compute the mean of ``(AUC_i - AUC_i^s) / (1 - AUC_i^s)``. Higher is better.

    Wolczyk et al., "Continual World", NeurIPS 2021: ``AUC_i`` is the mean accuracy over the
    training of experience ``i`` at equally spaced points, ``AUC_i^s`` that of a run on it alone, of
    equal length. NaN if a point is missing or ``AUC_i^s`` is 1.

    :param curves: accuracies (points,) for each experience, or of a single one.
    :param isolated: the same for the runs of single experiences.
    :raises UserError: if the curves do not have equal lengths, or for percentages.
    """
    own, alone = _curves(curves), _curves(isolated)
    lengths = [len(curve) for curve in own], [len(curve) for curve in alone]
    if lengths[0] != lengths[1] or not lengths[0] or 0 in lengths[0]:
        raise UserError(
            f"a curve and that of its isolated run have equally many points, at least one; got "
            f"{lengths[0]} and {lengths[1]}"
        )
    name = "learning-curve forward transfer"
    area = np.array([as_fractions(curve, name).mean() for curve in own])
    reference = np.array([as_fractions(curve, name).mean() for curve in alone])
    if (reference == 1).any():
        return float("nan")
    return float(((area - reference) / (1 - reference)).mean())


def _curves(curves: Any) -> list[Matrix]:
    single = len(curves) > 0 and np.ndim(curves[0]) == 0
    return [as_vector(curve, "a learning curve") for curve in ([curves] if single else curves)]

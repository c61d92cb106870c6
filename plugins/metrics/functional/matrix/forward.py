"""Forward transfer: what earlier experiences did for later ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics.functional.matrix.inputs import as_matrix, as_row, one_of

FORWARD_TRANSFERS = ("next", "upper_raw", "upper_minus_baseline")

_JOINT = "joint training has no accuracy before an experience and none of its own"
#: Setting -> why an accuracy before training an experience says nothing there, or ``None``.
ZERO_SHOT_GAPS: dict[str, str | None] = {
    "domain": None,
    "task_shared_head": None,
    "class_masked": "classes not seen yet cannot be predicted: the accuracy is 0 by construction",
    "class_all_outputs": "outputs of classes not seen yet were never trained: about 0 minus chance",
    "task_heads": "the head of a task not trained yet is random: it measures its initialization",
    "online": "a stream without boundaries has no rows",
    "joint": _JOINT,
}


def forward_transfer(accuracies: Any, initial: Any = None, *, variant: str = "next") -> float:
    """Return how well experiences are known before they are trained. Higher is better.

    NaN with a single experience, with fewer test than training experiences, or if an entry that the
    variant needs is missing. In most settings but domain-incremental ones the entries exist and
    say nothing: see :func:`forward_transfer_gap`.

    :param accuracies: accuracy matrix (T, N).
    :param initial: accuracies before any training (T or more), of the same initial weights.
    :param variant: ``"next"``, ``mean_{i>=1} A[i-1, i] - b_i``: Lopez-Paz and Ranzato, NeurIPS
        2017, Eq. 4. ``"upper_raw"``, the mean of all entries above the diagonal, without a
        baseline: Diaz-Rodriguez et al., 2018. ``"upper_minus_baseline"``, the mean of ``A[t, i] -
        b_i`` above the diagonal: no paper's, it joins the two.
    :raises UserError: see :func:`average_accuracy`; also for another variant, or if ``initial`` is
        missing where the variant needs it.
    """
    matrix = as_matrix(accuracies)
    rows, columns = matrix.shape
    baseline = np.zeros(rows)
    if one_of(variant, FORWARD_TRANSFERS) != "upper_raw":
        if initial is None:
            raise UserError(
                f"forward transfer {variant!r} compares with the accuracies before any training: "
                f"give initial, or take variant='upper_raw'"
            )
        baseline = as_row(initial, min(rows, columns), "initial")
    if rows < 2 or columns < rows:
        return float("nan")
    if variant == "next":
        later = np.arange(1, rows)
        return float((matrix[later - 1, later] - baseline[1:]).mean())
    before, later = np.triu_indices(rows, 1)
    return float((matrix[before, later] - baseline[later]).mean())


def isolated_forward_transfer(
    accuracies: Any, isolated: Any, *, include_first: bool = False
) -> float:
    """Return what the experiences before were worth, ``mean_i A[i, i] - s_i``. Higher is better.

    ``s_i`` is the accuracy of an independent model trained on experience ``i`` alone; usual in
    task-incremental papers. NaN if an entry is missing, for joint training, with fewer test than
    training experiences, and with a single experience unless ``include_first``.

    :param accuracies: accuracy matrix (T, N).
    :param isolated: accuracies ``s`` (T or more).
    :param include_first: whether experience 0, which nothing came before, counts
        (``fwt_isolated_all``; ``fwt_isolated_from_second`` without).
    :raises UserError: see :func:`average_accuracy`; also for a bad ``isolated``.
    """
    matrix = as_matrix(accuracies)
    rows, columns = matrix.shape
    alone = as_row(isolated, rows, "isolated")
    first = 0 if include_first else 1
    if columns < rows or rows <= first:
        return float("nan")
    return float((np.diagonal(matrix) - alone)[first:].mean())


def forward_transfer_gap(setting: str, *, isolated: bool = False) -> str | None:
    """Return why forward transfer is undefined in a setting, or ``None`` if it is defined.

    :param setting: ``"domain"`` (domain-incremental, permuted, rotated), ``"class_masked"``
        (class-incremental, unseen classes have no output or are ruled out),
        ``"class_all_outputs"`` (all outputs compete from the start), ``"task_heads"`` (a head for
        each task), ``"task_shared_head"`` (one head, equal class names), ``"online"`` (without
        boundaries), ``"joint"``.
    :param isolated: whether the comparison is with isolated runs (also of learning curves) rather
        than with accuracies before training.
    :raises UserError: for another setting.
    """
    one_of(setting, ZERO_SHOT_GAPS, "setting")
    if isolated:
        return _JOINT if setting == "joint" else None
    return ZERO_SHOT_GAPS[setting]

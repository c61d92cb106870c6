"""Every metric of an accuracy matrix at once, by key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from cl_strategies.plugins.metrics.functional.matrix.averages import (
    accuracy_spread,
    average_accuracy,
    average_incremental_accuracy,
    learning_accuracy,
    lower_triangle_accuracy,
    min_row_accuracy_final,
)
from cl_strategies.plugins.metrics.functional.matrix.backward import (
    FORGETTINGS,
    backward_transfer,
    backward_transfer_plus,
    forgetting,
    forgetting_after_row,
    remembering,
)
from cl_strategies.plugins.metrics.functional.matrix.forward import (
    forward_transfer,
    forward_transfer_gap,
    isolated_forward_transfer,
)
from cl_strategies.plugins.metrics.functional.matrix.inputs import Matrix, as_matrix, as_row
from cl_strategies.plugins.metrics.functional.matrix.references import (
    hat_ratio,
    intransigence,
    omega_all,
    omega_base,
    omega_new,
)
from cl_strategies.plugins.metrics.functional.matrix.stability import (
    retention_ratio,
    stability_final_old,
    stability_plasticity_harmonic,
)


def matrix_metrics(
    accuracies: Any,
    *,
    sizes: Sequence[float] | None = None,
    initial: Any = None,
    isolated: Any = None,
    joint: Any = None,
    joint_final: Any = None,
    random: Any = None,
    offline: float | None = None,
    setting: str | None = None,
) -> dict[str, float | Matrix]:
    """Compute every metric of an accuracy matrix, by the keys of :data:`DEFINITIONS`.

    NaN where a metric is undefined, also because what it compares with was not given. Two are
    vectors (T,): ``forgetting_after_row`` and ``intransigence``.

    :param accuracies: accuracy matrix (T, N) of fractions.
    :param sizes: numbers of test samples (N,); a 0 leaves weighted metrics undefined.
    :param initial: accuracies before any training (T or more).
    :param isolated: accuracies of models trained on one experience alone (T or more).
    :param joint: accuracies on experience k of models trained jointly on 0 .. k (T or more).
    :param joint_final: accuracies of a model trained jointly on all T experiences (T or more).
    :param random: accuracies of guessing (T or more).
    :param offline: accuracy of an offline model.
    :param setting: a setting of :func:`forward_transfer_gap`, which may leave forward transfer
        undefined.
    :raises UserError: for something else; percentages are refused.
    """
    whole = as_matrix(accuracies)
    rows = whole.shape[0]
    matrix, gaps = whole[:, :rows], np.full(rows, np.nan)
    weights = None if sizes is None else as_row(sizes, whole.shape[1], "sizes")[:rows].tolist()
    weighted = weights is not None and all(weights)
    start, alone, together, last, chance = (
        gaps if given is None else given
        for given in (initial, isolated, joint, joint_final, random)
    )
    best = float("nan") if offline is None else offline
    nan = float("nan")
    forward = partial(forward_transfer, matrix, start)
    rigid = intransigence(matrix, together)
    aia = partial(average_incremental_accuracy, matrix)
    values: dict[str, float | Matrix] = {
        "acc": average_accuracy(matrix),
        "acc_weighted": average_accuracy(matrix, weights) if weighted else nan,
        "aia": aia(),
        "aia_weighted": aia(weights) if weighted else nan,
        "aia_without_first": aia(include_first=False),
        "aia_weighted_without_first": aia(weights, include_first=False) if weighted else nan,
        "acc_lower_triangle": lower_triangle_accuracy(matrix),
        "learning_accuracy": learning_accuracy(matrix),
        "accuracy_spread": accuracy_spread(matrix),
        "min_row_accuracy_final": min_row_accuracy_final(matrix),
        "bwt": backward_transfer(matrix),
        "bwt_all_rows": backward_transfer(matrix, variant="all_rows"),
        "bwt_plus_all_rows": backward_transfer_plus(matrix),
        "rem_all_rows": remembering(matrix),
        **{f"forgetting_{name}": forgetting(matrix, variant=name) for name in FORGETTINGS},
        "forgetting_relative": forgetting(matrix, relative=True),
        "forgetting_after_row": forgetting_after_row(matrix),
        "fwt_next": forward(),
        "fwt_upper_raw": forward(variant="upper_raw"),
        "fwt_upper_minus_baseline": forward(variant="upper_minus_baseline"),
        "fwt_isolated_from_second": isolated_forward_transfer(matrix, alone),
        "fwt_isolated_all": isolated_forward_transfer(matrix, alone, include_first=True),
        "intransigence": rigid,
        "intransigence_mean": float(rigid.mean()),
        "intransigence_last": float(rigid[-1]),
        "hat_ratio": hat_ratio(matrix, chance, last),
        "stability_final_old": stability_final_old(matrix),
        "retention_ratio": retention_ratio(matrix),
        "stability_plasticity_harmonic": stability_plasticity_harmonic(matrix),
        "omega_base": omega_base(matrix, best),
        "omega_new": omega_new(matrix),
        "omega_all": omega_all(matrix, best),
    }
    if setting is not None:
        for key in [key for key in values if key.startswith("fwt_")]:
            if forward_transfer_gap(setting, isolated="isolated" in key):
                values[key] = nan
    return values

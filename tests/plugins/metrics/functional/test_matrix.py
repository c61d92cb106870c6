"""Metrics of the accuracy matrix: readings, references, limits, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics import functional as f
from cl_strategies.plugins.metrics.functional.matrix.backward import FORGETTINGS
from cl_strategies.plugins.metrics.functional.matrix.forward import ZERO_SHOT_GAPS

T = 5
RANDOM = np.random.default_rng(3).random((T, T))
LOWER = np.where(np.tri(T, dtype=bool), RANDOM, np.nan)
JOINT = np.where(np.arange(T)[:, None] == T - 1, RANDOM, np.nan)
REFERENCES = dict(
    sizes=[10, 20, 30, 40, 50],
    initial=[0.1] * T,
    isolated=[0.9] * T,
    joint=[0.8] * T,
    joint_final=[0.8] * T,
    random=[0.1] * T,
    offline=0.9,
)
UPPER = {"fwt_next", "fwt_upper_raw", "fwt_upper_minus_baseline"}
LAST_ROW_ONLY = {"acc", "acc_weighted", "accuracy_spread", "min_row_accuracy_final", "hat_ratio"}
LAST_ROW_ONLY |= {"stability_final_old", "intransigence_last"}


def scalars(matrix, **references) -> dict[str, float]:
    found = f.matrix_metrics(matrix, **references)
    return {key: value for key, value in found.items() if isinstance(value, float)}


def defined(matrix, **references) -> set[str]:
    return {key for key, value in scalars(matrix, **references).items() if not math.isnan(value)}


def test_everything_is_defined_for_a_full_matrix_with_all_references():
    assert defined(RANDOM, **REFERENCES) == set(scalars(RANDOM))


def test_the_upper_triangle_is_needed_by_forward_transfer_only():
    assert set(scalars(RANDOM)) - defined(LOWER, **REFERENCES) == UPPER
    full, lower = scalars(RANDOM, **REFERENCES), scalars(LOWER, **REFERENCES)
    same = set(full) - UPPER - {"forgetting_max_before_last", "forgetting_max_all_rows"}
    same -= {"forgetting_relative"}
    assert all(full[key] == lower[key] for key in same)


def test_joint_training_has_a_last_row_and_nothing_else():
    assert defined(JOINT, **REFERENCES) == LAST_ROW_ONLY


def test_one_experience_has_no_history():
    once = {"acc", "aia", "acc_lower_triangle", "learning_accuracy", "accuracy_spread"}
    assert defined([[0.8]]) == once | {"min_row_accuracy_final"}


def test_columns_not_trained_yet_do_not_count():
    wide = np.hstack([RANDOM, np.full((T, 2), 0.5)])
    references = REFERENCES | {"sizes": [10, 20, 30, 40, 50, 0, 7]}
    assert scalars(wide, **references) == scalars(RANDOM, **REFERENCES)


def test_forgetting_is_that_of_a_loop_over_its_definition():
    k = T - 1
    best = {
        "max_before_last": lambda i: max(RANDOM[m, i] for m in range(k)),
        "max_from_own": lambda i: max(RANDOM[m, i] for m in range(i, k)),
        "first_minus_last": lambda i: RANDOM[i, i],
        "max_all_rows": lambda i: max(RANDOM[m, i] for m in range(T)),
    }
    for variant in FORGETTINGS:
        drops = [best[variant](i) - RANDOM[k, i] for i in range(k)]
        assert f.forgetting(RANDOM, variant=variant) == pytest.approx(np.mean(drops))
        shares = [drop / best[variant](i) for i, drop in enumerate(drops)]
        found = f.forgetting(RANDOM, variant=variant, relative=True)
        assert found == pytest.approx(np.mean(shares))


def test_forgetting_after_every_row_ends_with_forgetting():
    curve = f.forgetting_after_row(LOWER)
    assert math.isnan(curve[0]) and curve[-1] == f.forgetting(LOWER)
    assert curve[2] == f.forgetting(LOWER[:3])


def test_backward_transfer_of_all_rows_is_that_of_a_loop_over_its_definition():
    gains = [RANDOM[t, i] - RANDOM[i, i] for t in range(1, T) for i in range(t)]
    assert f.backward_transfer(RANDOM, variant="all_rows") == pytest.approx(np.mean(gains))
    assert f.backward_transfer(RANDOM) == pytest.approx(
        -f.forgetting(RANDOM, variant="first_minus_last")
    )
    worse = np.tile(np.linspace(0.9, 0.1, T)[:, None], T)
    assert f.backward_transfer_plus(worse) == 0.0
    assert f.remembering(worse) == pytest.approx(1 + f.backward_transfer(worse, variant="all_rows"))


def test_pooled_accuracy_is_the_share_of_all_samples():
    correct, sizes = np.array([3, 10, 1]), [4, 20, 1]
    matrix = np.full((3, 3), np.nan)
    matrix[2] = correct / sizes
    assert f.average_accuracy(matrix, sizes) == pytest.approx(14 / 25)
    assert math.isnan(scalars(matrix, sizes=[4, 0, 1])["acc_weighted"])


def test_incremental_accuracy_without_the_first_experience():
    assert f.average_incremental_accuracy(
        [[0.9, 0.0], [0.4, 0.6]], include_first=False
    ) == pytest.approx(0.5)
    assert math.isnan(f.average_incremental_accuracy([[0.9]], include_first=False))


def test_a_task_never_learned():
    matrix = [[0.0, 0.1], [0.0, 0.5]]
    assert math.isnan(f.retention_ratio(matrix))
    assert f.stability_plasticity_harmonic([[0.0, 0.0], [0.0, 0.0]]) == 0.0
    assert math.isnan(f.omega_base(matrix, 0.0))
    assert math.isnan(f.hat_forgetting_ratio(0.5, 0.1, 0.1))
    assert math.isnan(f.hat_forgetting_ratio([], 0.1, 0.9))


def test_perfect_and_hopeless_learners():
    perfect, hopeless = scalars(np.ones((3, 3))), scalars(np.zeros((3, 3)))
    for key in ("acc", "aia", "learning_accuracy", "rem_all_rows", "retention_ratio"):
        assert perfect[key] == 1.0
    assert perfect["bwt"] == perfect["forgetting_max_before_last"] == 0.0
    assert hopeless["acc"] == hopeless["bwt"] == 0.0 and math.isnan(hopeless["retention_ratio"])


def test_intransigence_is_isolated_transfer_with_another_reference():
    found = f.isolated_forward_transfer(RANDOM, [0.8] * T, include_first=True)
    assert found == pytest.approx(-f.intransigence(RANDOM, [0.8] * T).mean())
    assert np.isnan(f.intransigence(RANDOM, [0.8, None, 0.8, 0.8, 0.8])[1])


@pytest.mark.parametrize("setting", ["class_masked", "class_all_outputs", "task_heads", "online"])
def test_settings_without_zero_shot_accuracies_say_why(setting):
    assert f.forward_transfer_gap(setting)
    assert f.forward_transfer_gap(setting, isolated=True) is None


def test_settings_with_forward_transfer():
    assert f.forward_transfer_gap("domain") is None
    assert f.forward_transfer_gap("task_shared_head") is None


def test_only_training_at_once_has_no_transfer_from_isolated_runs():
    undefined = [name for name in ZERO_SHOT_GAPS if f.forward_transfer_gap(name, isolated=True)]
    assert undefined == list(ZERO_SHOT_GAPS)[-1:]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: f.forgetting(RANDOM, variant="worst"), "'max_before_last'"),
        (lambda: f.backward_transfer(RANDOM, variant="rows"), "'last_row'"),
        (lambda: f.forward_transfer(RANDOM, variant="far"), "'next'"),
        (lambda: f.forward_transfer(RANDOM), "give initial"),
        (lambda: f.forward_transfer(RANDOM, [0.1]), "at least 5 numbers"),
        (lambda: f.forward_transfer_gap("unknown"), "setting must be one of"),
        (lambda: f.isolated_forward_transfer(RANDOM, [[0.1]]), "list of numbers"),
        (lambda: f.intransigence(RANDOM, "high"), "list of numbers"),
        (lambda: f.intransigence(RANDOM, [-1.0] * T), "not negative"),
        (lambda: f.omega_base(RANDOM, [0.1, 0.2]), "must be a number"),
        (lambda: f.hat_forgetting_ratio([0.1, 0.2], 0.1, [1, 1, 1]), "equal length"),
        (lambda: f.remembering(100 * RANDOM), "divide percentages by 100"),
        (lambda: f.average_accuracy(RANDOM, [1, 2]), "5 positive numbers"),
        (lambda: f.matrix_metrics(RANDOM, sizes=[1]), "at least 5 numbers"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(UserError, match=message):
        call()

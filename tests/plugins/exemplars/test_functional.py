"""Selection, budgets and losses against reference vectors."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, normalize

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.functional import (
    closest_order,
    fit_budget,
    herding_order,
    log_volume,
    log_volume_ratio,
)
from cl_strategies.plugins.incremental import functional as losses

GOLDEN = Path(__file__).parents[2] / "golden" / "cim"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "indep_losses.npz") as archive:
        return {name: torch.from_numpy(np.asarray(archive[name])) for name in archive.files}


def close(found, expected, atol=1e-12):
    found = torch.as_tensor(found, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def test_herding_order_is_the_reference_order(golden):
    expected = golden["herd_euclid"]
    assert torch.equal(herding_order(golden["herd_X"], len(expected)), expected)
    assert torch.equal(herding_order(golden["herd_X"])[: len(expected)], expected)


def test_herding_is_greedy_by_brute_force():
    features = torch.randn(9, 3, dtype=torch.float64)
    vectors = features / features.norm(dim=1, keepdim=True)
    chosen: list[int] = []
    for _ in range(9):
        rest = [i for i in range(9) if i not in chosen]
        gaps = [float((vectors.mean(0) - vectors[[*chosen, i]].mean(0)).norm()) for i in rest]
        chosen.append(rest[int(np.argmin(gaps))])
    assert herding_order(features).tolist() == chosen


@given(seed=st.integers(0, 1000), count=st.integers(1, 20), scale=st.floats(0.01, 100))
@settings(max_examples=30)
def test_herding_orders_are_permutations_whose_prefixes_agree(seed, count, scale):
    features = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)) * scale
    order = herding_order(features)
    assert sorted(order.tolist()) == list(range(count))
    assert torch.equal(herding_order(features, count // 2), order[: count // 2])


def test_closest_order_sorts_by_distance_to_the_mean():
    features = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.1], [0.9, 0.05]])
    assert closest_order(features).tolist() == [2, 3, 1, 0]


@pytest.mark.parametrize("bad", [torch.zeros(3), torch.full((2, 2), torch.nan)])
def test_features_that_are_no_finite_matrix_are_refused(bad):
    with pytest.raises(UserError):
        herding_order(bad)
    with pytest.raises(UserError):
        herding_order(torch.ones(2, 2), 3)


def test_budgets_match_the_reference():
    with np.load(GOLDEN / "indep_budget.npz") as archive:
        rates, budgets = archive["rates"], archive["budgets"]
        fits, used = archive["fit"], archive["used"]
    for budget, fit, total in zip(budgets, fits, used, strict=True):
        count = fit_budget(rates, budget)
        assert count == fit
        assert float(np.sum(rates[:count])) == pytest.approx(total)


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(0, 400))
def test_the_prefix_fits_and_the_next_item_would_not(costs, budget):
    count = fit_budget(costs, budget)
    assert sum(costs[:count]) <= budget
    assert count == len(costs) or sum(costs[: count + 1]) > budget
    totals = list(itertools.accumulate(costs))
    assert count == sum(total <= budget for total in totals)


def test_a_negative_cost_is_refused():
    with pytest.raises(UserError):
        fit_budget([1, -1], 5)


def test_log_volume_matches_the_reference(golden):
    close(log_volume(golden["herd_X"][golden["mrdc_idx"]]), golden["mrdc_logvol"])
    assert log_volume(torch.ones(2, 5)) == -np.inf
    assert log_volume(torch.zeros(0, 5)) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_is_no_volume(dtype):
    """More vectors than dimensions, and copies of one: dependent, whatever rounding leaves."""
    features = torch.rand(12, 5, generator=torch.Generator().manual_seed(0), dtype=dtype)
    assert log_volume(features) == -np.inf
    copied = features[[0, 1, 1, 2]] * (1 + torch.finfo(dtype).eps)
    assert log_volume(copied) == -np.inf
    assert log_volume(torch.zeros(3, 5, dtype=dtype)) == -np.inf


def test_a_ratio_of_volumes_exists_for_more_vectors_than_dimensions():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(7, 3, generator=generator).double() for _ in range(2))
    few = log_volume_ratio(first[:3], second[:3])
    assert few == pytest.approx(log_volume(first[:3]) - log_volume(second[:3]))
    totals = []
    for vectors in (first, second):
        unit = normalize(vectors, dim=1)
        subsets = [list(s) for n in range(8) for s in itertools.combinations(range(7), n)]
        totals.append(sum(float(torch.det(unit[s] @ unit[s].T)) for s in subsets))
    ratio = 0.5 * math.log(totals[0] / totals[1])
    assert log_volume_ratio(first, second) == pytest.approx(ratio)
    assert log_volume_ratio(first[:1].expand(7, 3), second) < -0.3


def test_distillation_and_class_weights_match(golden):
    weights = losses.effective_number_weights(golden["cls_counts"], 0.97)
    close(weights, golden["pcw_beta097"])
    close(losses.distillation(golden["z_a"], golden["z_b"]), golden["kd_T2"])
    balanced = losses.distillation(golden["z_a"], golden["z_b"], weights=weights)
    close(balanced, golden["bkd_T2"])
    close(cross_entropy(golden["z_a"] / weights, golden["targets"]), golden["ce_adj"])


def test_weight_aligning_matches_and_is_idempotent(golden):
    aligned, factor = losses.align_weights(golden["wa_W"], 6)
    close(aligned, golden["wa_out"])
    close(factor, golden["wa_gamma"])
    again, one = losses.align_weights(aligned, 6)
    close(again, aligned)
    close(one, torch.ones_like(one))


def test_the_losses_of_lucir_match(golden):
    n_old = int(golden["n_old"])
    close(losses.feature_distillation(golden["feat"], golden["feat_old"]), golden["lucir_dis"])
    close(losses.margin_ranking(golden["cos"], golden["targets"], n_old), golden["lucir_mr_new"])
    close(losses.adaptive_weight(5, 6, 4), golden["lucir_lambda_6old_4new"], atol=1e-6)
    only_new = torch.tensor([7, 8, 9, 7, 8, 9])
    assert float(losses.margin_ranking(golden["cos"], only_new, n_old)) == 0


def test_the_losses_of_podnet_match(golden):
    maps = [golden["pod_a0"], golden["pod_a1"]]
    close(losses.pod_spatial(maps, [golden["pod_b0"], golden["pod_b1"]]), golden["pod_spatial"])
    close(losses.feature_distillation(golden["feat"], golden["feat_old"]), golden["pod_flat"])
    scores = losses.local_similarity(golden["feat"], golden["lsc_P"], 4)
    close(scores, golden["lsc_scores"])
    close(losses.nca(scores, golden["t3"], margin=0.6), golden["nca_paper_delta06"])
    close(losses.nca(scores, golden["t3"], released=True), golden["nca_code"])


def test_the_auxiliary_labels_of_der_match(golden):
    found = losses.auxiliary_targets(golden["targets"], int(golden["n_old"]))
    assert torch.equal(found, golden["aux_targets"])


def test_losses_refuse_what_is_undefined():
    with pytest.raises(UserError):
        losses.effective_number_weights([0, 3], 0.9)
    with pytest.raises(UserError):
        losses.align_weights(torch.ones(3, 2), 3)

"""The functional forms against independent float64 evaluations of the papers' equations."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cl_strategies.plugins.metrics.functional import average_accuracy, forgetting
from cl_strategies.plugins.quantization import functional as f

GOLDEN = Path(__file__).parents[3] / "golden" / "alignq-lifequant"


def load(name):
    arrays = np.load(GOLDEN / f"numpy_{name}.npz")
    return {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}


def close(found, expected):
    torch.testing.assert_close(found, expected.to(found), rtol=0, atol=1e-10)


def gradient(function, x, upstream):
    x = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(function(x), x, upstream)
    return found


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_cdf_alignment_of_weights(bits):
    golden = load("alignq_cdf")
    close(f.cdf_align_weight(golden["w"], bits), golden[f"q_pm1_{bits}"])


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_cdf_alignment_of_activations(bits):
    golden = load("alignq_cdf")
    standard = (golden["w"] - golden["mean"]) / golden["std_ddof1"]
    close(f.cdf_align_activation(standard, bits), golden[f"q_pm_alpha2_{bits}"])


def test_cdf_alignment_gradient_passes_through_mean_and_deviation():
    golden = load("alignq_cdf")
    found = gradient(lambda w: f.cdf_align_weight(w, 4), golden["w"], golden["g"])
    close(found, golden["grad_full"])
    assert abs(found.sum()) < 1e-12
    assert not torch.allclose(found, golden["grad_detached"], atol=0.1)


def test_cdf_alignment_makes_normal_weights_uniform():
    golden = load("alignq_cdf")
    standard = (golden["big"].double() - golden["big_mu"]) / golden["big_sigma"]
    with f.continuous():
        unit = f.cdf_align_activation(standard, 8, act_range=0.5) + 0.5
    ordered = unit.sort().values
    ranks = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / len(ordered)
    distance = max((ranks - ordered).max(), (ordered - ranks + 1 / len(ordered)).max())
    assert abs(distance - golden["ks_stat"]) < 1e-7  # "big" is kept in float32


def test_admm_steps_and_augmented_lagrangian():
    golden = load("alignq_thm32_admm")
    mu, rho = float(golden["admm_mu"]), float(golden["admm_rho"])
    difference = golden["admm_D"]
    auxiliary, dual = torch.zeros_like(difference), golden["admm_gamma0"]
    losses = []
    for step in (1, 2, 3):
        auxiliary, dual = f.admm_update(difference, auxiliary, dual, mu=mu, rho=rho)
        close(auxiliary, golden[f"admm_Z{step}"])
        close(dual, golden[f"admm_gamma{step}"])
        losses.append(f.admm_loss(difference, auxiliary, dual, mu=mu, rho=rho))
    assert min(abs(loss - golden["admm_aug_lagrangian"]) for loss in losses) < 1e-10


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_lsq(bits):
    golden = load("quantisers")
    v = golden["v"].clone().requires_grad_()
    step = golden[f"lsq{bits}_s"].clone().requires_grad_()
    found = f.lsq(v, step, bits)
    close(found, golden[f"lsq{bits}_q"])
    assert torch.equal((found / step).round().to(torch.int16), golden[f"lsq{bits}_codes"])
    found.backward(golden["g"])
    close(v.grad, golden[f"lsq{bits}_grad_v"])
    close(step.grad, golden[f"lsq{bits}_grad_s"])


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_dorefa(bits):
    golden = load("quantisers")
    v, g = golden["v"], golden["g"]
    close(f.dorefa_weight(v, bits), golden[f"dorefa_w{bits}"])
    expected = golden[f"dorefa_w{bits}_grad_max_const"]
    close(gradient(lambda w: f.dorefa_weight(w, bits), v, g), expected)
    close(f.dorefa_activation(v, bits), golden[f"dorefa_a{bits}"])
    expected = golden[f"dorefa_a{bits}_grad"]
    close(gradient(lambda x: f.dorefa_activation(x, bits), v, g), expected)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_pact(bits):
    golden = load("quantisers")
    x = golden["v"].clone().requires_grad_()
    alpha = golden["pact_alpha"].clone().requires_grad_()
    found = f.pact(x, alpha, bits)
    close(found, golden[f"pact_a{bits}"])
    found.backward(golden["g"])
    close(x.grad, golden[f"pact_a{bits}_grad_x"])
    close(alpha.grad, golden[f"pact_a{bits}_grad_alpha"])


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_uniform_minmax(bits):
    golden = load("quantisers")
    rows = f.uniform_minmax(golden["v"], bits, channel=0)
    close(rows, golden[f"minmax_asym_perrow{bits}"])
    close(f.uniform_minmax(golden["v"][1], bits), golden[f"minmax_asym_perrow{bits}"][1])
    close(f.uniform_minmax(golden["v"], bits, symmetric=True), golden[f"minmax_sym{bits}"])


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_apot_levels(bits):
    golden = load("quantisers")
    close(f.apot_levels(bits, signed=False), golden[f"apot_mag{bits}"])
    close(f.apot_levels(bits, signed=True), golden[f"apot_w{bits}_signed_levels"])


def test_apot_levels_of_the_paper():
    close(f.apot_levels(4, signed=False), load("quantisers")["apot_paper_mag4_k2_n2"])


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0, 1.5])
def test_standard_space_of_proxq(alpha):
    golden = load("lifequant_thm51_metrics")
    with f.continuous():
        found = f.prox_weight(golden["w_s"], 4, alpha=alpha, clamp=False)
    close(found, golden[f"proxq_alpha{alpha}"])


def test_balanced_logits():
    golden = load("lifequant_ball")
    logits, labels, counts = golden["logits"], golden["labels"], golden["n"] + golden["r"]
    found = f.balanced_logits(logits, counts, form="logit")
    close(found, golden["adjusted_logits"])
    close(found - logits, golden["log_s"])
    per_sample = torch.nn.functional.cross_entropy(found, labels, reduction="none")
    close(per_sample, golden["ce_per_sample"])
    every_class = -found.log_softmax(1).sum(1)
    close(every_class, golden["thm53_sum_over_all_classes"])


def test_balanced_cross_entropy_and_its_gradient():
    golden = load("lifequant_ball")
    counts = golden["n"] + golden["r"]
    logits = golden["logits"].clone().requires_grad_()
    loss = f.balanced_cross_entropy(logits, golden["labels"], counts, form="logit")
    close(loss, golden["ce_mean"])
    loss.backward()
    close(logits.grad, golden["ce_mean_grad_logits"])


def test_balanced_logits_as_the_proof_reads_them():
    golden = load("lifequant_ball")
    counts = golden["n"] + golden["r"]
    adjusted = f.balanced_logits(golden["logits"], counts)
    close(adjusted, golden["prob_form_adjusted"])
    per_sample = torch.nn.functional.cross_entropy(adjusted, golden["labels"], reduction="none")
    close(per_sample, golden["prob_form_ce_per_sample"])


def test_balanced_logits_stay_finite_where_they_are_large():
    golden = load("lifequant_ball")
    counts = golden["n"] + golden["r"]
    found = f.balanced_logits(golden["big_logits"], counts, form="logit")
    close(found, golden["big_adjusted"])
    loss = f.balanced_cross_entropy(golden["big_logits"], torch.tensor([3]), counts, form="logit")
    close(loss, golden["big_ce_label3"])


def test_the_form_with_a_prior_is_the_balanced_softmax():
    golden = load("lifequant_ball")
    counts = golden["n"] + golden["r"]
    adjusted = f.balanced_logits(golden["logits"], counts, form="prior")
    per_sample = torch.nn.functional.cross_entropy(adjusted, golden["labels"], reduction="none")
    close(per_sample, golden["bal_softmax_ref_ce"])


def test_the_penalty_is_the_square_of_the_inter_task_term():
    golden = load("lifequant_thm51_metrics")
    importance = golden["grads"].square().mean(0)
    change = golden["w_t_q"] - golden["w_s_q"]
    close((importance * change.square()).sum(), golden["inter_sq_fisher"])


def test_forgetting_as_the_paper_may_mean_it():
    golden = load("lifequant_thm51_metrics")
    accuracies = golden["R"].numpy()
    assert abs(forgetting(accuracies) - golden["forget_abs"]) < 1e-10
    assert abs(forgetting(accuracies, relative=True) - golden["forget_rel"]) < 1e-10
    assert abs(average_accuracy(accuracies) - golden["acc_all"]) < 1e-10
    assert abs(accuracies[-1, :-1].mean() - golden["acc_old"]) < 1e-10

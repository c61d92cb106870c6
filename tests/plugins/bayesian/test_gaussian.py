"""Gaussian weights against reference vectors, torch.distributions and draws of the weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from cl_strategies.errors import UserError
from cl_strategies.plugins.bayesian.functional import (
    gaussian_kl,
    gaussian_linear_moments,
    k_center_order,
)

VECTORS = {
    name: torch.from_numpy(np.array(value))
    for name, value in np.load(Path(__file__).parents[2] / "golden" / "rows" / "vcl.npz").items()
}
ARGUMENTS = ("mean", "log_variance", "prior_mean", "prior_log_variance")


def close(found, expected, tolerance=1e-9):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=1e-12)


@pytest.mark.parametrize("case", ["kl0", "kl1", "kl2"])
def test_the_divergence_and_its_gradients_are_those_of_the_vectors(case):
    q = [VECTORS[f"{case}_{name}"].clone().requires_grad_() for name in ARGUMENTS[:2]]
    p = [VECTORS[f"{case}_{name}"] for name in ARGUMENTS[2:]]
    value = gaussian_kl(*q, *p)
    close(value, VECTORS[f"{case}_value"])
    gradients = torch.autograd.grad(value, q)
    for name, gradient in zip(ARGUMENTS, gradients, strict=False):
        close(gradient, VECTORS[f"{case}_d_{name}"], 1e-8)


@pytest.mark.parametrize("case", ["moments0", "moments1"])
def test_the_moments_are_those_of_the_vectors(case):
    names = ("inputs", "mean", "log_variance", "bias_mean", "bias_log_variance")
    mean, variance = gaussian_linear_moments(*(VECTORS.get(f"{case}_{name}") for name in names))
    close(mean, VECTORS[f"{case}_out_mean"])
    close(variance, VECTORS[f"{case}_out_variance"])


@pytest.mark.parametrize("case", ["center0", "center1"])
def test_centers_are_those_of_the_vectors(case):
    k, first = (int(VECTORS[f"{case}_{name}"]) for name in ("k", "first"))
    order = k_center_order(VECTORS[f"{case}_points"], k, first=first)
    assert order.tolist() == VECTORS[f"{case}_order"].tolist()


def test_the_divergence_is_that_of_torch_distributions():
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(4, 5, 7, generator=generator, dtype=torch.float64)
    mean, log, prior_mean, prior_log = draws
    q, p = Normal(mean, (log / 2).exp()), Normal(prior_mean, (prior_log / 2).exp())
    close(gaussian_kl(mean, log, prior_mean, prior_log), kl_divergence(q, p).sum())
    assert gaussian_kl(mean, log, mean, log) == 0
    with pytest.raises(UserError, match="one variance for each mean"):
        gaussian_kl(mean, log[:1], prior_mean, prior_log)


def test_drawn_outputs_have_the_moments_of_drawn_weights():
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x, mean, log = normal(2, 3), normal(4, 3), normal(4, 3)
    weights = mean + (log / 2).exp() * normal(200_000, 4, 3)
    outputs = torch.einsum("ni,kji->knj", x, weights)
    expected, variance = gaussian_linear_moments(x, mean, log)
    torch.testing.assert_close(outputs.mean(0), expected, rtol=0, atol=0.03)
    torch.testing.assert_close(outputs.var(0), variance, rtol=0.02, atol=0)


def test_numbers_have_no_variance():
    x, mean = torch.randn(2, 3), torch.randn(4, 3)
    certain = torch.full((4, 3), -torch.inf)
    assert not gaussian_linear_moments(x, mean, certain, torch.ones(4))[1].any()


@pytest.mark.parametrize(("k", "first"), [(4, 0), (-1, 0), (2, 3), (1, -1)])
def test_impossible_centers_are_refused(k, first):
    with pytest.raises(UserError, match="points"):
        k_center_order(torch.zeros(3, 2), k, first=first)


def test_equal_points_are_each_chosen_once():
    assert k_center_order(torch.zeros(3, 2), 3, first=1).tolist() == [1, 0, 2]
    assert k_center_order(torch.zeros(3, 2), 0).tolist() == []

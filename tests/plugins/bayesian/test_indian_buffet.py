"""The Indian buffet prior: reference vectors, limit cases, other computations of the same."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.plugins.bayesian.functional import (
    concrete_log_density,
    concrete_log_ratio,
    kumaraswamy_beta_kl,
    kumaraswamy_kl,
    kumaraswamy_quantile,
    stick_breaking,
)

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "rows" / "ibp_wf.npz"
F64 = torch.float64


@pytest.fixture(scope="module")
def vectors():
    return {name: torch.as_tensor(value) for name, value in np.load(GOLDEN).items()}


def close(given, expected, tolerance=1e-9):
    assert given.dtype == F64
    torch.testing.assert_close(given, expected, rtol=tolerance, atol=1e-12)


# ---------------------------------------------------------------------- reference vectors


@pytest.mark.parametrize("case", [0, 1])
def test_sticks_are_those_of_the_vectors(vectors, case):
    close(stick_breaking(vectors[f"stick{case}_fractions"]), vectors[f"stick{case}_value"])


def test_quantiles_are_those_of_the_vectors(vectors):
    u, a, b = (vectors[f"quantile_{name}"] for name in "uab")
    close(kumaraswamy_quantile(u, a, b), vectors["quantile_value"])


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize(
    ("name", "function"), [("beta", kumaraswamy_beta_kl), ("kumaraswamy", kumaraswamy_kl)]
)
def test_divergences_and_gradients_are_those_of_the_vectors(vectors, name, function, case):
    def read(role):
        return vectors[f"{name}{case}_{role}"]

    a, b = (read(role).clone().requires_grad_() for role in "ab")
    value = function(a, b, read("prior_a"), read("prior_b"), terms=int(read("terms")))
    close(value.detach(), read("value"))
    for given, role in zip(torch.autograd.grad(value.sum(), (a, b)), "ab", strict=True):
        close(given, read(f"d_{role}"), 1e-8)


@pytest.mark.parametrize("case", [0, 1])
def test_densities_are_those_of_the_vectors(vectors, case):
    sample, probability, prior = (
        vectors[f"concrete{case}_{role}"] for role in ("sample", "probability", "prior")
    )
    temperature = float(vectors[f"concrete{case}_temperature"])
    density = concrete_log_density(sample, probability, temperature=temperature)
    close(density, vectors[f"concrete{case}_log_density"])
    ratio = concrete_log_ratio(sample, probability, prior, temperature=temperature)
    close(ratio, vectors[f"concrete{case}_log_ratio"])


# ---------------------------------------------------------------------- limit cases


def test_divergences_of_a_distribution_from_itself_are_zero():
    a = torch.tensor([0.5, 3.0, 700.0], dtype=F64)
    one = torch.ones_like(a)
    for function in (kumaraswamy_beta_kl, kumaraswamy_kl):
        assert function(a, one, a, one).abs().max() < 1e-12  # Kumaraswamy(a, 1) is Beta(a, 1)
    y, p = torch.randn(6, dtype=F64), torch.rand(6, dtype=F64)
    assert (concrete_log_ratio(y, p, p) == 0).all()
    b = torch.tensor([1.3, 2.0, 0.8], dtype=F64)  # only in the limit of the series
    terms = [kumaraswamy_kl(a[:1], b[:1], a[:1], b[:1], terms=n).abs() for n in (15, 150, 1500)]
    assert terms[0] > terms[1] > terms[2] and terms[2] < 1e-3


def test_the_divergence_is_that_of_a_numerical_integral():
    a, b, a0, b0 = 2.5, 1.7, 1.9, 2.2
    v = torch.linspace(0, 1, 400_001, dtype=F64)[1:-1]
    density = a * b * v ** (a - 1) * (1 - v**a) ** (b - 1)
    priors = {
        kumaraswamy_kl: a0 * b0 * v ** (a0 - 1) * (1 - v**a0) ** (b0 - 1),
        kumaraswamy_beta_kl: torch.distributions.Beta(a0, b0).log_prob(v).exp(),
    }
    for function, prior in priors.items():
        expected = torch.trapezoid(density * (density.log() - prior.log()), v)
        given = function(*(torch.tensor(x, dtype=F64) for x in (a, b, a0, b0)), terms=20_000)
        torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-4)


def test_quantiles_have_the_distribution_function_as_inverse():
    u = torch.linspace(0.01, 0.99, 50, dtype=F64)
    for a, b in ((0.7, 1.0), (5.0, 2.5), (700.0, 1.0)):
        v = kumaraswamy_quantile(u, torch.tensor(a, dtype=F64), torch.tensor(b, dtype=F64))
        close(1 - (1 - v**a) ** b, u)


def test_a_density_integrates_to_one():
    y = torch.linspace(-80, 80, 200_001, dtype=F64)
    for p, temperature in ((0.3, 2 / 3), (0.9, 0.3), (0.5, 1.0)):
        density = concrete_log_density(y, torch.full_like(y, p), temperature=temperature).exp()
        assert float(torch.trapezoid(density, y)) == pytest.approx(1, abs=1e-6)


def test_a_density_is_the_same_in_single_precision_at_the_ends():
    y = torch.tensor([-60.0, -5.0, 5.0, 60.0])
    p = torch.tensor([0.0, 1e-9, 1 - 1e-9, 1.0])
    single = concrete_log_density(y, p)
    assert single.dtype == torch.float32
    expected = concrete_log_density(y.double(), p.double())
    torch.testing.assert_close(single.double(), expected, rtol=1e-4, atol=1e-4)


def test_a_large_concentration_does_not_cancel_in_single_precision():
    a, b = torch.tensor([700.0, 5e6]), torch.tensor([1.5, 0.7])
    prior_a, one = torch.tensor([650.0, 4e6]), torch.ones(2)
    for function in (kumaraswamy_beta_kl, kumaraswamy_kl):
        expected = function(a.double(), b.double(), prior_a.double(), one.double())
        given = function(a, b, prior_a, one)
        torch.testing.assert_close(given.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_out_of_range_is_refused(temperature):
    with pytest.raises(UserError, match="temperature is .*above 0"):
        concrete_log_density(torch.zeros(2), torch.full((2,), 0.5), temperature=temperature)


def test_a_series_without_terms_is_refused():
    one = torch.ones(2)
    for function in (kumaraswamy_beta_kl, kumaraswamy_kl):
        with pytest.raises(UserError, match="terms is 0"):
            function(one, one, one, one, terms=0)

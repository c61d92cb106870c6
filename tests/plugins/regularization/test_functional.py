"""The equations of SI and ALASSO, in float64, against values computed without this package."""

import doctest
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.plugins.regularization import functional
from cl_strategies.plugins.regularization.functional import (
    alasso_importance,
    asymmetric_surrogate,
    si_importance,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "alasso"
TIES = [0, 4, 5, 18, 21]
SETTINGS = range(4)


@pytest.fixture(scope="module")
def surrogate():
    return {name: torch.from_numpy(array) for name, array in np.load(GOLDEN / "eq5.npz").items()}


@pytest.fixture(scope="module")
def update():
    arrays = np.load(GOLDEN / "omega_update.npz")
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12, equal_nan=True)


def surrogate_at(golden, setting):
    a, eps = golden["a_eps"][setting].tolist()
    inputs = [golden[name] for name in ("theta", "center", "prev", "Omega")]
    return asymmetric_surrogate(*inputs, a=a, eps=eps)


def importance_at(golden, setting, **options):
    a, eps, c = golden["decoupled_ap_epsp_cp"][setting].tolist()
    names = ("omega_n", "theta_n", "theta_prev", "theta_prev_prev", "Omega_prev")
    return alasso_importance(*(golden[name] for name in names), a=a, eps=eps, c=c, **options)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_surrogate_is_equation_5(surrogate, setting):
    value, gradient = surrogate_at(surrogate, setting)
    close(value, surrogate["paper_loss"][setting])
    close(gradient, surrogate["paper_grad"][setting])
    close(value.sum(), surrogate["paper_loss_sum"][setting])


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_surrogate_of_the_authors_code_differs_in_its_ties_only(surrogate, setting):
    value, gradient = surrogate_at(surrogate, setting)
    others = [row for row in range(64) if row not in TIES]
    close(value[others], surrogate["code_loss"][setting][others])
    close(gradient[others], surrogate["code_grad"][setting][others])


def test_every_tie_of_the_authors_code_is_no_displacement_or_no_importance(surrogate):
    _, gradient = surrogate_at(surrogate, 0)
    differs = torch.nonzero(gradient != surrogate["code_grad"][0]).flatten().tolist()
    assert differs == TIES
    no_tie = (surrogate["prev"] != surrogate["center"]) & (surrogate["Omega"] > 0)
    assert not no_tie[TIES].any()


def test_the_gradient_of_the_surrogate_is_its_derivative(surrogate):
    theta = surrogate["theta"].clone().requires_grad_()
    others = [surrogate[name] for name in ("center", "prev", "Omega")]
    value, gradient = asymmetric_surrogate(theta, *others)
    (by_autograd,) = torch.autograd.grad(value.sum(), theta)
    close(gradient.detach(), by_autograd)

    step = 1e-6
    with torch.no_grad():
        above, _ = asymmetric_surrogate(theta + step, *others)
        below, _ = asymmetric_surrogate(theta - step, *others)
    finite = (above - below) / (2 * step)
    torch.testing.assert_close(gradient.detach(), finite, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_importance_is_equation_7_clipped_at_zero(update, setting):
    close(importance_at(update, setting, monotone=False), update["paper_Omega_xi01_clip0"][setting])


@pytest.mark.parametrize("setting", SETTINGS)
def test_without_damping_the_importance_is_equation_7_where_it_is_defined_and_not(update, setting):
    literal = importance_at(update, setting, xi=0.0, monotone=False)
    close(literal, update["paper_Omega_xi0"][setting].clamp_min(0))
    assert literal.isnan().any() and literal.isinf().any()


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_monotone_importance_is_that_of_the_authors_code(update, setting):
    close(importance_at(update, setting), update["code_signed_Omega_xi01"][setting].abs())


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_past_is_equation_11(update, setting):
    a, eps, c = update["decoupled_ap_epsp_cp"][setting].tolist()
    names = ("theta_n", "theta_prev", "theta_prev_prev", "Omega_prev")
    value, _ = asymmetric_surrogate(*(update[name] for name in names), a=a, eps=eps)
    close(-c * value, update["paper_omega_past"][setting])


def test_si_importance_is_equation_3_clipped_at_zero(update):
    names = ("omega_n", "theta_n", "theta_prev", "Omega_prev")
    importance = si_importance(*(update[name] for name in names), xi=0.1)
    close(importance, update["pathint_Omega_xi01"])
    assert (update["si_eq3_xi01"] < 0).any()
    undamped = si_importance(*(update[name] for name in names), xi=0.0)
    close(undamped, update["si_eq3_xi0"].clamp_min(0))


def test_equation_7_recovers_quadratic_losses_and_si_counts_the_past_several_times():
    """Tasks ``q * (theta - m)**2``, each solved exactly together with the surrogate."""
    generator = torch.Generator().manual_seed(1)
    q, m = torch.rand(2, 5, 8, generator=generator, dtype=torch.float64)
    q, m = q + 0.5, 4 * m
    for c in (1.0, 0.5):
        previous = center = torch.zeros(8, dtype=torch.float64)
        importance = torch.zeros(8, dtype=torch.float64)
        for n in range(5):
            theta = (q[n] * m[n] + c * importance * center) / (q[n] + c * importance)
            fall = q[n] * ((center - m[n]).square() - (theta - m[n]).square())
            inputs = (fall, theta, center)
            once = si_importance(*inputs, importance, xi=0.0)
            close(once, q[n] + (2 * c + 1) * importance)
            exact = alasso_importance(*inputs, previous, importance, c=c, xi=0.0, monotone=False)
            close(exact, q[n] + c * importance)
            previous, center, importance = center, theta, exact


def test_arguments_are_left_alone(update):
    before = {name: tensor.clone() for name, tensor in update.items()}
    importance_at(update, 0)
    assert all(torch.equal(before[n].nan_to_num(), update[n].nan_to_num()) for n in before)


@pytest.mark.parametrize("name", ["a", "eps"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_the_surrogate_refuses_a_bad_number(name, value):
    one = torch.ones(3)
    with pytest.raises(UserError, match=name):
        asymmetric_surrogate(one, one, one, one, **{name: value})


@pytest.mark.parametrize("name", ["c", "a", "eps", "xi"])
def test_the_importance_refuses_a_negative_number(name):
    one = torch.ones(3)
    with pytest.raises(UserError, match=f"{name} is -0.1"):
        alasso_importance(one, one, one, one, one, **{name: -0.1})


def test_si_importance_refuses_a_negative_damping():
    one = torch.ones(3)
    with pytest.raises(UserError, match="xi is -1"):
        si_importance(one, one, one, one, xi=-1)


@pytest.mark.parametrize("position", range(1, 5))
def test_shapes_that_differ_are_refused_although_they_broadcast(position):
    tensors = [torch.ones(2, 3) for _ in range(5)]
    tensors[position] = torch.ones(3)
    with pytest.raises(UserError, match=r"\(3,\)"):
        alasso_importance(*tensors)
    if position < 4:
        with pytest.raises(UserError, match=r"\(3,\)"):
            asymmetric_surrogate(*tensors[:4])
        with pytest.raises(UserError, match=r"\(3,\)"):
            si_importance(*tensors[:4])


def test_the_examples_in_the_docstrings_are_true():
    failed, attempted = doctest.testmod(functional)
    assert (failed, attempted > 0) == (0, True)

"""Gradients of the quantizers: finite differences with the identity in place of rounding, and
equality with what the rounded forward passes back."""

import pytest
import torch
from torch.autograd import gradcheck

from cl_strategies.plugins.quantization import functional as f


def sample(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


CHECKED = {
    "cdf weight": lambda x: f.cdf_align_weight(x, 3),
    "cdf weight, released": lambda x: f.cdf_align_weight(x, 3, levels="released"),
    "cdf weight, per channel": lambda x: f.cdf_align_weight(x, 3, channel=0),
    "cdf activation": lambda x: f.cdf_align_activation(x, 4),
    "cdf activation, released": lambda x: f.cdf_align_activation(x, 4, levels="released"),
    "proxq": lambda x: f.prox_weight(x, 3, alpha=0.7),
    "proxq, released": lambda x: f.prox_weight(x, 3, clamp=False),
    "proxq, per channel": lambda x: f.prox_weight(x, 3, channel=0),
    "dorefa activation": lambda x: f.dorefa_activation(x, 3),
    "dorefa activation, signed": lambda x: f.dorefa_activation(x, 3, signed=True),
    "binary": f.binary,
    "uniform range": lambda x: f.uniform_range(x, torch.tensor(-0.9), torch.tensor(1.3), 3),
    "correlation": f.correlation,
}


@pytest.mark.parametrize("name", CHECKED)
def test_gradient_is_that_of_the_unrounded_function(name):
    with f.continuous():
        assert gradcheck(CHECKED[name], (sample(4, 6).requires_grad_(),))


LEARNED = {
    "pact": lambda x, a: f.pact(x, a, 3),
    "pact, signed": lambda x, a: f.pact(x, a, 3, signed=True),
    "apot": lambda x, a: f.apot(x, a, 4),
    "apot, unsigned": lambda x, a: f.apot(x, a, 4, signed=False),
}


@pytest.mark.parametrize("name", LEARNED)
def test_gradient_of_a_clipping_value_is_that_of_the_unrounded_function(name):
    alpha = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    with f.continuous():
        assert gradcheck(LEARNED[name], (sample(4, 6).requires_grad_(), alpha))


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_gradient_of_lsq_is_scaled_only_for_the_step(signed, bits):
    v = sample(4, 6).requires_grad_()
    last = {True: 2 ** (bits - 1) - 1, False: 2**bits - 1}[signed] if bits > 1 else 1
    scale = (24 * last) ** -0.5  # of the layer, whose steps are four
    step = torch.tensor([[0.3], [0.5], [0.4], [0.6]], dtype=torch.float64, requires_grad=True)
    with f.continuous():
        assert gradcheck(lambda v: f.lsq(v, step.detach(), bits, signed=signed), (v,))
        found = torch.autograd.grad(f.lsq(v, step, bits, signed=signed).sum(), step)[0]
        eps = 1e-6
        up, down = (f.lsq(v, step + s * eps, bits, signed=signed).sum(1) for s in (1, -1))
    torch.testing.assert_close(
        found[:, 0] / scale, (up - down).detach() / (2 * eps), atol=1e-6, rtol=0
    )


def test_gradient_of_dorefa_weights_holds_the_largest_constant():
    w = sample(30)
    largest = w.abs().argmax()
    free = [i for i in range(30) if i != largest]

    def function(x):
        full = w.clone()
        full[free] = x
        return f.dorefa_weight(full, 3)[free]

    with f.continuous():
        assert gradcheck(function, (w[free].requires_grad_(),))


@pytest.mark.parametrize("name", CHECKED)
def test_rounding_does_not_change_the_gradient(name):
    x, upstream = sample(4, 6), sample(4, 4 if name == "correlation" else 6, seed=1)
    gradients = []
    for rounded in (True, False):
        leaf = x.clone().requires_grad_()
        if rounded:
            output = CHECKED[name](leaf)
            gradients.append(torch.autograd.grad(output, leaf, upstream)[0])
        else:
            with f.continuous():
                output = CHECKED[name](leaf)
                gradients.append(torch.autograd.grad(output, leaf, upstream)[0])
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_weights_that_the_standard_space_ignores_get_no_gradient():
    w = sample(5, 7).requires_grad_()
    for quantize in (f.cdf_align_weight, f.prox_weight):
        gradient = torch.autograd.grad(quantize(w, 4), w, sample(5, 7, seed=2))[0]
        shift, scale = gradient.sum(), (gradient * (w - w.mean())).sum()
        assert abs(shift) < 1e-10
        if quantize is f.cdf_align_weight:
            assert abs(scale) < 1e-10
        torch.testing.assert_close(quantize(3 * w + 2, 4), quantize(w, 4), rtol=0, atol=0)


def test_llsq_moves_its_step_towards_the_smaller_error():
    v = sample(200)
    for factor, sign in ((4.0, 1.0), (0.25, -1.0)):
        step = (2 * v.abs().mean() / 7**0.5 * factor).requires_grad_()
        upstream = sample(200, seed=3)
        found = torch.autograd.grad(f.llsq(v, step, 4), step, upstream)[0]
        torch.testing.assert_close(found, sign * step.detach() ** 2)


def test_llsq_masks_only_where_it_is_told_to():
    v = torch.tensor([-9.0, 0.2, 9.0], dtype=torch.float64, requires_grad=True)
    step = torch.tensor(0.5, dtype=torch.float64)
    found = torch.autograd.grad(f.llsq(v, step, 3).sum(), v)[0]
    assert found.tolist() == [0, 1, 0]
    found = torch.autograd.grad(f.llsq(v, step, 3, masked=False).sum(), v)[0]
    assert found.tolist() == [1, 1, 1]


def test_llsq_steps_take_sixteen_bits_with_one_exponent():
    steps = sample(6).abs()
    rounded = f.llsq_round_step(steps)
    codes = rounded / rounded.max() * 2**15
    assert (rounded - steps).abs().max() <= steps.max() * 2**-14
    unit = 2.0 ** torch.floor(torch.log2(steps.max()) - 15)
    assert torch.equal((rounded / unit).round(), rounded / unit)
    assert codes.max() <= 2**15


@pytest.mark.parametrize("form", ["penalty", "textbook", "released"])
def test_correlation_loss_has_the_gradient_of_its_value(form):
    difference = sample(5, 5).requires_grad_()
    auxiliary, dual = sample(5, 5, seed=1), sample(5, 5, seed=2)

    def loss(d):
        return f.admm_loss(d, auxiliary, dual, mu=0.2, rho=0.3, form=form)

    assert gradcheck(loss, (difference,))


@pytest.mark.parametrize("form", ["penalty", "textbook", "released"])
def test_correlation_loss_has_a_finite_gradient_without_a_difference(form):
    difference = torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(4, 4, dtype=torch.float64)
    loss = f.admm_loss(difference, zeros, zeros, mu=0.2, rho=0.3, form=form)
    assert torch.autograd.grad(loss, difference)[0].isfinite().all()


@pytest.mark.parametrize("form", ["probability", "logit"])
def test_balanced_logits_have_the_gradient_of_their_value(form):
    counts = torch.tensor([5.0, 0.0, 1.0, 30.0])
    logits = sample(3, 4).requires_grad_()
    assert gradcheck(lambda x: f.balanced_logits(x, counts, form=form), (logits,))

"""LSQ+: values and gradients against an independent computation with autograd, in float64."""

import pytest
import torch
from torch.autograd import gradcheck

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization import functional as f
from cl_strategies.plugins.quantization.functional.learned_offset import (
    range_of_least_error,
    zero_point,
)


def sample(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def scalar(value):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def straight(x, value):
    return x + (value - x).detach()


def reference(v, step, offset, bits):
    """Equations 3 and 4 with straight-through rounding of values and of the zero point."""
    last = 2**bits - 1
    zero = (-offset / step).detach().round().clamp(0, last)
    beta = straight(offset, -zero * step)
    u = ((v - beta) / step).clamp(0, last)
    return straight(u, u.round()) * step + beta


@pytest.mark.parametrize(("step", "offset"), [(0.21, -0.5), (0.1, -1.2), (0.4, 0.0), (-0.21, -0.5)])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_values_and_gradients_are_those_of_autograd(bits, step, offset):
    last = 2**bits - 1
    offset = max(offset, -last * abs(step))
    v, upstream = 2 * sample(200), sample(200, seed=1)
    terms = [v.requires_grad_(), scalar(step), scalar(offset)]
    result = f.lsq_plus(*terms, bits)
    found = torch.autograd.grad(result, terms, upstream)
    size = scalar(abs(step))
    expected = reference(v, size, terms[2], bits)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)
    gradients = torch.autograd.grad(expected, [v, size, terms[2]], upstream)
    scale = (200 * last) ** -0.5
    torch.testing.assert_close(found[0], gradients[0], rtol=0, atol=1e-12)
    sign = 1 if step > 0 else -1
    torch.testing.assert_close(found[1], sign * scale * gradients[1], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found[2], scale * gradients[2], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("offset", [-0.5, 0.3, -30.0])
def test_gradients_are_those_of_the_unrounded_function(offset):
    """Also where the offset is beyond the zero points that there are."""
    v, step, beta = sample(4, 6).requires_grad_(), scalar(0.3), scalar(offset)
    scale = (24 * 7) ** -0.5
    with f.continuous():
        assert gradcheck(lambda v: f.lsq_plus(v, step.detach(), beta.detach(), 3), (v,))
        found = torch.autograd.grad(f.lsq_plus(v, step, beta, 3).sum(), [step, beta])
        eps = 1e-6
        for gradient, moves in zip(found, ((eps, 0), (0, eps)), strict=True):
            up, down = (
                f.lsq_plus(v, step + s * moves[0], beta + s * moves[1], 3).sum() for s in (1, -1)
            )
            slope = (up - down).detach() / (2 * eps)
            torch.testing.assert_close(gradient / scale, slope, atol=1e-6, rtol=0)


def test_zero_is_a_level_and_integers_compute_the_same():
    """``(clamp(round(x / s) + z, 0, p) - z) * s``, as QuantizeLinear and its inverse do."""
    v, step, offset = 2 * sample(500), scalar(0.13), scalar(-0.31)
    zero = zero_point(step.detach(), offset.detach(), 4)
    assert int(zero) == 2
    codes = ((v / step).round() + zero).clamp(0, 15)
    torch.testing.assert_close(f.lsq_plus(v, step, offset, 4), (codes - zero) * step)
    assert f.lsq_plus(torch.zeros(3), step, offset, 4).tolist() == [0, 0, 0]
    assert len(f.lsq_plus(v, step, offset, 4).unique()) == 16


def test_the_range_has_the_least_error_of_all():
    x = torch.nn.functional.silu(1.5 * sample(4000))
    step, offset = range_of_least_error(x, 4)

    def error(step, zero):
        return float((((x / step).round().clamp(-zero, 15 - zero) * step) - x).square().sum())

    found = error(step, int(zero_point(step, offset, 4)))
    best = min(error(s, z) for s in torch.arange(0.02, 0.8, 0.002) for z in range(6))
    assert found < 1.02 * best
    assert range_of_least_error(torch.zeros(5), 4) == (1, 0)
    assert range_of_least_error(-x.abs(), 4)[1] < -1


def test_corner_cases():
    x = sample(9)
    assert f.lsq_plus(x, scalar(1.0), scalar(0.0), 32) is x
    assert f.lsq_plus(x[:0], scalar(1.0), scalar(0.0), 4).numel() == 0
    with pytest.raises(UserError, match="bits is 9"):
        f.lsq_plus(x, scalar(1.0), scalar(0.0), 9)

"""LSQ+ as modules: which grid, from where it starts, how much noise it saves."""

import pytest
import torch
from torch import nn

from cl_strategies.plugins.quantization.conversion.measures import sqnr
from cl_strategies.plugins.quantization.quantizers.lsq import LSQ
from cl_strategies.plugins.quantization.quantizers.lsq_plus import LSQPlus


def activation(kind=LSQPlus, bits=4, **options):
    return kind(**options).activation(bits, features=None)


def outputs(function, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return function(width * torch.randn(8, 16, 16, 16, generator=generator))


@pytest.mark.parametrize("kind", [nn.SiLU, nn.GELU, nn.Hardswish, nn.LeakyReLU])
def test_an_offset_saves_decibels_over_the_best_signed_grid(kind):
    gains = []
    for width in (1.0, 1.5, 2.0):
        x = outputs(kind(), width)
        steps = torch.arange(0.02, 1.5, 0.01)
        signed = max(sqnr(x, (x / s).round().clamp(-8, 7) * s) for s in steps)
        gains.append(sqnr(x, activation()(x).detach()) - signed)
    assert min(gains) > 3 and sum(gains) / 3 > 4


def test_after_relu_it_is_lsq_to_the_bit():
    x = outputs(nn.ReLU(), 1.0)
    ours, theirs = activation(), activation(LSQ)
    assert torch.equal(ours(x), theirs(x))
    assert not ours.has_offset and ours.offset == 0
    assert activation(signed=False)(outputs(nn.SiLU(), 1.0)).min() == 0


def test_weights_start_from_three_deviations():
    w = torch.randn(6, 50) * torch.arange(1.0, 7)[:, None] + 0.3
    quantizer = LSQPlus(per_channel=True).weight(3, shape=w.shape, rescale=False)
    quantizer(w)
    mean, deviation = w.mean(1), w.std(1, correction=0)
    ends = torch.stack([(mean - 3 * deviation).abs(), (mean + 3 * deviation).abs()]).amax(0)
    torch.testing.assert_close(quantizer.step.detach()[:, 0], ends / 4)
    one = LSQPlus().weight(1, shape=w.shape, rescale=False)
    torch.testing.assert_close(one(w).abs().amax(), w.abs().mean())


def test_zero_stays_on_the_grid_whatever_an_optimizer_does():
    quantizer = activation()
    x = outputs(nn.SiLU(), 1.0)
    quantizer(x)
    assert quantizer.zero_point() == 1
    for value, zero in ((5.0, 0), (-99.0, 15)):
        quantizer.offset.data.fill_(value)
        y = quantizer(x)
        assert quantizer.zero_point() == zero and 0 in y
    y.sum().backward()
    assert quantizer.offset.grad > 0  # values above the range draw it back


def test_step_and_offset_learn():
    quantizer = activation(bits=2)
    x = outputs(nn.SiLU(), 1.0)
    quantizer(x)
    before = float(quantizer.step), float(quantizer.offset)
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=0.1)
    losses = []
    quantizer.offset.data.fill_(-2.0)
    for _ in range(30):
        optimizer.zero_grad()
        loss = (quantizer(x) - x).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.7 * losses[0]
    assert (float(quantizer.step), float(quantizer.offset)) != before


def test_one_bit_of_both_signs_has_two_ends():
    y = activation(bits=1)(torch.randn(100))
    assert len(y.unique()) == 2 and y.min() == -y.max()


def test_the_steps_of_channels_have_the_gradient_scale_of_the_layer():
    w = torch.randn(5, 40, dtype=torch.float64)
    upstream = torch.randn(5, 40, dtype=torch.float64)
    quantizer = LSQ(per_channel=True).weight(3, shape=w.shape, rescale=False).double()
    quantizer(w).backward(upstream)
    u = w / quantizer.step.detach()
    inside = (u >= -4) & (u <= 3)
    share = torch.where(inside, u.round() - u, u.clamp(-4, 3)) * upstream
    expected = share.sum(1, keepdim=True) / (200 * 3) ** 0.5
    torch.testing.assert_close(quantizer.step.grad, expected)

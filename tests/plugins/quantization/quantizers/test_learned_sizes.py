"""What quantizers learn: its gradient at any value, and that no optimizer kills a layer by it."""

import math

import pytest
import torch
from torch import nn

from cl_strategies.plugins.quantization import functional as f
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.layers import (
    learned_parameters,
    quantized_layers,
)
from cl_strategies.plugins.quantization.conversion.param_groups import add_groups
from cl_strategies.plugins.quantization.quantizers.scheme import scheme

LEARNING = ("lsq", "llsq", "pact", "apot")


def sample(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def network(quantizer, bits=4, **options):
    torch.manual_seed(0)
    layers = [nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)]
    made = scheme(quantizer, **options)
    return quantize_model(
        nn.Sequential(*layers), quantizer=made, weight_bits=bits, activation_bits=bits
    )


SIZED = {
    "lsq": lambda x, a: f.lsq(x, a, 3),
    "lsq, one bit": lambda x, a: f.lsq(x, a, 1),
    "lsq, unsigned": lambda x, a: f.lsq(x, a, 3, signed=False),
    "pact": lambda x, a: f.pact(x, a, 3),
    "pact, signed": lambda x, a: f.pact(x, a, 3, signed=True),
    "apot": lambda x, a: f.apot(x, a, 4),
    "apot, unsigned": lambda x, a: f.apot(x, a, 4, signed=False),
}


@pytest.mark.parametrize("value", [0.5, -0.5, 1e-3, -1e-3, 40.0, -40.0])
@pytest.mark.parametrize("name", SIZED)
def test_the_gradient_of_a_size_is_that_of_its_magnitude(name, value):
    x, upstream = sample(4, 6), sample(4, 6, seed=1)
    size = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    leaf = x.clone().requires_grad_()
    scale = 1.0
    if name.startswith("lsq"):
        last = {"lsq": 3, "lsq, one bit": 1, "lsq, unsigned": 7}[name]
        scale = 1 / math.sqrt(x.numel() * last)
    with f.continuous():
        of_x, of_size = torch.autograd.grad(SIZED[name](leaf, size), (leaf, size), upstream)
        eps = abs(value) * 1e-7
        up, down = (SIZED[name](x, size.detach() + s * eps) for s in (1, -1))
        expected = ((up - down) / (2 * eps) * upstream).sum()
        torch.testing.assert_close(of_size / scale, expected, rtol=1e-5, atol=1e-5)
        mirrored = torch.autograd.grad(SIZED[name](leaf, -size), (leaf, size), upstream)
    torch.testing.assert_close((of_x, of_size), mirrored)


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-40, -1e-40, 1e-12, 1e30])
@pytest.mark.parametrize("name", [*SIZED, "llsq"])
def test_values_and_gradients_are_finite_at_any_size(name, value):
    quantize = SIZED.get(name, lambda x, a: f.llsq(x, a, 3))
    for x in (torch.zeros(6), torch.tensor([-7.0, 0.0, 1e-20, 300.0])):
        leaf, size = x.clone().requires_grad_(), torch.tensor(value, requires_grad=True)
        if name == "llsq" and value == 1e30:
            size = torch.tensor(1e15, requires_grad=True)  # its gradient is the square
        y = quantize(leaf, size)
        y.sum().backward()
        assert y.isfinite().all() and leaf.grad.isfinite().all() and size.grad.isfinite()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_llsq_moves_the_magnitude_of_its_step_towards_the_smaller_error(sign):
    v = sample(200)
    for factor, direction in ((4.0, 1.0), (0.25, -1.0)):
        step = (sign * 2 * v.abs().mean() / 7**0.5 * factor).requires_grad_()
        found = torch.autograd.grad(f.llsq(v, step, 4).sum(), step)[0]
        torch.testing.assert_close(found, sign * direction * step.detach() ** 2)


def test_llsq_leaves_the_step_of_zeros_alone():
    v = torch.zeros(2, 5, dtype=torch.float64)
    v[0] = torch.tensor([-0.4, -0.2, 0.0, 0.2, 0.4])
    step = torch.tensor([[1.0], [0.3]], dtype=torch.float64, requires_grad=True)
    found = torch.autograd.grad(f.llsq(v, step, 4).sum(), step)[0]
    assert found.flatten().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("quantizer", LEARNING)
def test_a_negative_size_in_a_network_moves_as_its_magnitude(quantizer):
    moves = {}
    for sign in (1.0, -1.0):
        model = network(quantizer).train()
        x = torch.rand(16, 8, generator=torch.Generator().manual_seed(1))
        model(x)
        learned = [parameter for _, parameter in learned_parameters(model)]
        with torch.no_grad():
            for size in learned:
                size.abs_().mul_(sign)
        model(x).square().sum().backward()
        moves[sign] = torch.cat([(-p.grad * p.sign()).flatten() for p in learned])
    torch.testing.assert_close(moves[1.0], moves[-1.0])


@pytest.mark.parametrize("wrong", [0.0, -1e-9, 1e-9, 1e6, -1e6])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("quantizer", LEARNING)
def test_a_size_that_went_astray_is_brought_back_by_the_next_batch(quantizer, bits, wrong):
    model = network(quantizer, bits).train()
    x = torch.rand(32, 8, generator=torch.Generator().manual_seed(1))
    model(x)
    with torch.no_grad():
        for _, size in learned_parameters(model):
            size.fill_(wrong)
    y = model(x)
    y.square().sum().backward()
    assert all((size > 1e-6).all() and (size < 1e4).all() for _, size in learned_parameters(model))
    for layer in quantized_layers(model).values():
        assert layer.quantized_weight().abs().amax() > 0  # neither all zero
        assert layer.weight.grad.abs().amax() > 0  # nor all clipped
    assert y.std(0).amax() > 0


def test_a_size_in_its_range_is_left_alone_by_any_batch():
    model = network("lsq").train()
    x = torch.rand(32, 8)
    model(x)
    before = [size.detach().clone() for _, size in learned_parameters(model)]
    for batch in (x, 100 * x, 0 * x):
        model(batch)
    after = [size.detach() for _, size in learned_parameters(model)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop])
@pytest.mark.parametrize("quantizer", LEARNING)
def test_no_layer_dies_in_a_plain_script_whose_optimizer_is_far_too_fast(quantizer, make):
    model = network(quantizer, bits=2).train()
    x = torch.rand(64, 8, generator=torch.Generator().manual_seed(1))
    model(x)
    learned = [size for _, size in learned_parameters(model)]
    optimizer = make(learned, lr=3.0)
    for _ in range(20):
        optimizer.zero_grad()
        (model(x) - 1).square().sum().backward()
        optimizer.step()
        with torch.no_grad():
            model.eval()(x)
            model.train()
    y = model(x)
    for layer in quantized_layers(model).values():
        assert len(layer.quantized_weight().unique()) > 1
    assert y.isfinite().all() and y.std(0).amax() > 0


def test_steps_that_an_optimizer_has_already_move_to_groups_of_their_own():
    model = network("llsq")
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.2, momentum=0.9, nesterov=True, weight_decay=0.1
    )
    add_groups(optimizer, model)
    add_groups(optimizer, model)
    others, steps = optimizer.param_groups
    assert {id(p) for p in steps["params"]} == {id(p) for _, p in learned_parameters(model)}
    assert len(others["params"]) == 6
    assert (steps["lr"], steps["momentum"], steps["weight_decay"]) == (0.2 * 0.1, 0.0, 0.0)
    assert (others["lr"], others["momentum"], others["weight_decay"]) == (0.2, 0.9, 0.1)


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.RMSprop, torch.optim.AdamW])
def test_a_step_of_llsq_rests_where_its_gradient_is_zero(make):
    model = network("llsq").train()
    x = torch.rand(32, 8)
    model(x)
    options = {} if make is torch.optim.AdamW else {"momentum": 0.9}
    optimizer = make(model.parameters(), lr=0.1, **options)
    add_groups(optimizer, model)
    steps = [step for _, step in learned_parameters(model)]
    for step in steps:
        step.grad = torch.ones_like(step)
    optimizer.step()
    before = [step.detach().clone() for step in steps]
    for step in steps:
        step.grad = torch.zeros_like(step)
    optimizer.step()
    assert all(torch.equal(a, b.detach()) for a, b in zip(before, steps, strict=True))


@pytest.mark.parametrize("quantizer", LEARNING)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_layer_that_lives_is_not_held_up(quantizer, bits):
    """Around the best size of normal values nothing is changed, whatever the size was."""
    x = sample(4000).clamp(-3.5, 3.5).float()
    for v in (x, x.relu()):
        signed = bool(v.min() < 0)
        made = scheme(quantizer).activation(bits, features=None).train()
        made(v)
        size = next(made.parameters())
        sizes = size.detach() * 2.0 ** torch.arange(-12, 6)
        with torch.no_grad():
            errors = []
            for value in sizes:
                size.copy_(value)
                errors.append(float((made.eval()(v) - v).square().mean()))
            best = sizes[errors.index(min(errors))]
        for factor in (0.6, 1.0, 1.5):
            with torch.no_grad():
                size.copy_(factor * best)
            made.train()(v)
            assert float(size) == pytest.approx(float(factor * best)), (signed, factor)


def test_a_schedule_of_pytorch_starts_from_the_rate_of_the_steps():
    model = network("lsq")
    weights = [p for name, p in model.named_parameters() if "quantizer" not in name]
    optimizer = torch.optim.SGD(weights, lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    add_groups(optimizer, model)
    schedule.base_lrs.append(optimizer.param_groups[1]["initial_lr"])
    assert [group["initial_lr"] for group in optimizer.param_groups] == [1.0, 0.1]

"""The bound of LifeQuant's standard space acts, in values and in training."""

import pytest
import torch
from torch import nn

from cl_strategies.plugins.quantization import functional as f
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.conversion.packing import load_packed, pack_model
from cl_strategies.plugins.quantization.quantizers.proxq import ProxQ


def space(alpha):
    return {"standardize": False} if alpha is None else {"alpha": alpha}


def model_with(alpha, *, clamp=True, norm=True, bits=2):
    torch.manual_seed(0)
    layers = [nn.Linear(6, 16), nn.BatchNorm1d(16) if norm else nn.Identity(), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(16, 3))
    return quantize_model(model, weight_bits=bits, quantizer=ProxQ(clamp=clamp, **space(alpha)))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_small_bound_keeps_weights_to_the_levels_around_zero(bits):
    w = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    n = 2**bits - 1
    levels = {alpha: f.prox_weight(w, bits, alpha=alpha).unique() for alpha in (0.25, 1.0, 1.5)}
    for found in levels.values():
        assert found.abs().amax() <= 1
        torch.testing.assert_close((found * n).round() % 2, torch.ones(len(found)))
    assert len(levels[0.25]) < 0.8 * len(levels[1.0])
    assert bits == 8 or len(levels[1.0]) == len(levels[1.5]) == 2**bits
    inside = [(f.prox_weight(w, bits, alpha=a).abs() < 1).float().mean() for a in (0.5, 1.0, 1.5)]
    assert inside[0] > inside[1] > inside[2]


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("clamp", [True, False])
def test_two_bounds_give_two_functions_and_two_trainings(norm, clamp):
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    y = torch.arange(64) % 3
    outputs, weights = [], []
    for alpha in (0.5, 1.0):
        model = model_with(alpha, clamp=clamp, norm=norm, bits=3)
        outputs.append(model(x).detach())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        weights.append(quantized_layers(model)["0"].weight.detach())
    assert (outputs[0] - outputs[1]).abs().amax() > 0.05
    assert (weights[0] - weights[1]).abs().amax() > 1e-3


@pytest.mark.parametrize("clamp", [True, False])
def test_without_a_space_weights_are_rounded_as_they_are(clamp):
    w = torch.tensor([-1.4, -0.9, -0.2, 0.1, 0.4, 0.8], dtype=torch.float64, requires_grad=True)
    q = f.prox_weight(w, 2, alpha=None, clamp=clamp)
    levels = [-1, -1, -1 / 3, 1 / 3, 1 / 3, 1] if clamp else [-4 / 3, -1, -1 / 3, 0, 1 / 3, 2 / 3]
    assert q.tolist() == pytest.approx(levels)
    (gradient,) = torch.autograd.grad(q @ torch.arange(1.0, 7.0, dtype=torch.float64), w)
    assert gradient.tolist() == [0.0 if clamp else 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize("alpha", [0.25, 1.0, 1.5, None])
@pytest.mark.parametrize("norm", [True, False])
def test_a_packed_model_computes_the_same_at_any_bound(alpha, norm):
    model, twin = (model_with(alpha, norm=norm) for _ in range(2))
    x = torch.randn(8, 6)
    model(x)
    load_packed(twin.eval(), pack_model(model.eval()))
    assert torch.equal(twin(x), model(x))

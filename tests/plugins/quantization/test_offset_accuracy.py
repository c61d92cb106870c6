"""LSQ+ against the signed grid of LSQ, in networks with SiLU and GELU at 4 bits."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.param_groups import add_groups
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer

SEEDS = 3


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits")
    return [(s.x.float(), torch.from_numpy(s.labels).long()) for s in (data.train, data.test)]


def network(act, seed):
    torch.manual_seed(seed)

    def block(n_in, n_out):
        return [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), act()]

    shallow = [*block(1, 12), *block(12, 12), *block(12, 12), nn.MaxPool2d(2)]
    deep = [*block(12, 24), *block(24, 24), *block(24, 24), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*shallow, *deep, nn.Flatten(), nn.Linear(24, 10))


def trained(model, data, *, seed, epochs, lr):
    x, y = data
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    add_groups(optimizer, model)
    steps = epochs * 20
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(1000, generator=generator).split(50):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return model


@torch.no_grad()
def accuracy(model, data):
    x, y = data
    return (model.eval()(x).argmax(1) == y).float().mean().item()


@torch.no_grad()
def calibrated(model, x):
    model.eval()
    for module in model.modules():
        if isinstance(module, ActivationQuantizer):
            module.train()
    model(x)
    return model


def mean(values):
    return sum(values) / len(values)


@pytest.mark.slow
def test_an_offset_keeps_more_accuracy_from_the_first_batch_on(digits):
    """Without training at 4 bits; the slow test below is of training."""
    train, test = digits
    found = {"float": [], "lsq": [], "lsq-plus": []}
    for seed in range(SEEDS):
        plain = trained(network(nn.SiLU, seed), train, seed=seed, epochs=3, lr=5e-3)
        found["float"].append(accuracy(plain, test))
        for name in ("lsq", "lsq-plus"):
            model = quantize_model(copy.deepcopy(plain), quantizer=name)
            found[name].append(accuracy(calibrated(model, train[0][:200]), test))
    assert mean(found["lsq-plus"]) > mean(found["lsq"]) + 0.03, found
    assert mean(found["lsq-plus"]) > mean(found["float"]) - 0.05, found


@pytest.mark.slow
@pytest.mark.parametrize("act", [nn.SiLU, nn.GELU])
def test_an_offset_ends_with_more_accuracy(act, digits):
    """An epoch of training at 4 bits after six at full precision, for six seeds."""
    train, test = digits
    found = {"lsq": [], "lsq-plus": []}
    for seed in range(2 * SEEDS):
        plain = trained(network(act, seed), train, seed=seed, epochs=6, lr=5e-3)
        for name, accuracies in found.items():
            model = quantize_model(copy.deepcopy(plain), quantizer=name)
            trained(model, train, seed=seed + 9, epochs=1, lr=1e-3)
            accuracies.append(accuracy(model, test))
    assert mean(found["lsq-plus"]) > mean(found["lsq"]), found

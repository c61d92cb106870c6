"""IMM and dropout as strategies against loops in plain PyTorch that share no code with them.

The same mini-batches in the same order, and the same noise where there is any, in float64.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.strategies import IMMMean, IMMMode, SGDDropout

SIZE, EPOCHS, TASKS = 16, 2, 3


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.double()


def tasks() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(48) % 4
    noise = [torch.rand(48, 1, 4, 4, generator=generator) for _ in range(TASKS)]
    marks = [torch.randn(4, 1, 4, 4, generator=generator) for _ in range(TASKS)]
    return [(x + mark[y], y) for x, mark in zip(noise, marks, strict=True)]


def network() -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4)]
    return nn.Sequential(Double(), nn.Flatten(), *layers).double()


class Noise(SupervisedPlugin):
    """Makes the noise of a step known: every forward pass of training begins with a seed."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def before_forward(self, strategy: Any, **kwargs: Any) -> None:
        torch.manual_seed(self.steps)
        self.steps += 1


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trained(kind: Any, **options: Any) -> tuple[list[Tensor], list[Tensor]]:
    """The strategy's own and merged parameters after each task."""
    benchmark = build_benchmark(tasks(), tasks(), name="by-hand", scenario="domain")
    model = network()
    strategy = kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8),
        train_mb_size=SIZE,
        train_epochs=EPOCHS,
        plugins=[Noise()],
        evaluator=None,
        **options,
    )
    own, merged = [], []
    for experience in benchmark.train_stream:
        strategy.train(experience, shuffle=False)
        own.append(flat(model))
        if kind is not SGDDropout:
            merged.append(flat(strategy.merged_model()))
    return own, merged


def drop(x: Tensor, rate: float) -> Tensor:
    """What :func:`torch.nn.functional.dropout` draws, as a product with noise."""
    keep = torch.empty_like(x).bernoulli_(1 - rate)
    return x * (keep / (1 - rate))


def forward_with_dropout(model: Any, old: Any, x: Tensor, rate: float, inputs: float) -> Tensor:
    """Drop-transfer, written out layer by layer; ``old`` is ``None`` in the first task."""
    x = (drop(x, inputs) if inputs else x).double().flatten(1)
    for place in (2, 4):
        layer = model[place]
        before = 0.0
        if old is not None:
            before = x @ old[place].weight.T + old[place].bias
        change = x @ layer.weight.T + layer.bias - before
        x = torch.tanh(before + (drop(change, rate) if rate else change))
    return x @ model[6].weight.T + model[6].bias


def networks_by_hand(*, l2: float = 0.0, rate: float = 0.0, inputs: float = 0.0) -> list[Any]:
    model, old, steps, found = network(), None, 0, []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8)
    for x, y in tasks():
        for _ in range(EPOCHS):
            for part, labels in zip(x.split(SIZE), y.split(SIZE), strict=True):
                torch.manual_seed(steps)
                steps += 1
                logits = forward_with_dropout(model, old, part, rate, inputs)
                loss = -logits.log_softmax(1)[range(SIZE), labels].mean()
                if old is not None:
                    pairs = zip(model.parameters(), old.parameters(), strict=True)
                    loss = loss + l2 * sum((p - q.detach()).square().sum() for p, q in pairs)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        old = copy.deepcopy(model)
        found.append(old)
    return found


def fisher_by_hand(model: nn.Module, x: Tensor) -> Tensor:
    """The expectation over the model's labels of squared gradients of single samples."""
    total = torch.zeros_like(flat(model))
    for sample in x:
        log_p = model(sample[None]).log_softmax(1)[0]
        for label in range(len(log_p)):
            gradients = torch.autograd.grad(
                log_p[label], list(model.parameters()), retain_graph=True
            )
            squares = torch.cat([g.flatten() for g in gradients]).square()
            total += log_p[label].exp().detach() * squares
    return total / len(x)


def weights_by_hand(count: int, alpha: float | None) -> list[float]:
    if count == 1 or alpha is None:
        return [1 / count] * count
    return [(1 - alpha) / (count - 1)] * (count - 1) + [alpha]


TRANSFER: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "weight": ({}, {}),
    "l2": ({"l2_transfer": 0.05}, {"l2": 0.05}),
    "drop": ({"drop_transfer": 0.5, "input_dropout": 0.2}, {"rate": 0.5, "inputs": 0.2}),
    "both": ({"drop_transfer": 0.3, "l2_transfer": 0.02}, {"rate": 0.3, "l2": 0.02}),
}


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("alpha", [None, 0.6])
@pytest.mark.parametrize("transfer", TRANSFER)
def test_mean(transfer: str, alpha: float | None) -> None:
    options, by_hand = TRANSFER[transfer]
    own, merged = trained(IMMMean, alpha=alpha, **options)
    theta = [flat(model) for model in networks_by_hand(**by_hand)]
    for k in range(TASKS):
        weights = weights_by_hand(k + 1, alpha)
        close(own[k], theta[k])
        close(merged[k], sum(a * t for a, t in zip(weights, theta, strict=False)))
    assert (merged[-1] - own[-1]).abs().max() > 0.01


@pytest.mark.parametrize(("transfer", "alpha"), [("weight", None), ("l2", 0.6)])
def test_mode(transfer: str, alpha: float | None) -> None:
    options, by_hand = TRANSFER[transfer]
    own, merged = trained(IMMMode, alpha=alpha, fisher="exact", eps=1e-6, **options)
    models = networks_by_hand(**by_hand)
    theta = [flat(model) for model in models]
    fisher = [fisher_by_hand(m, x) + 1e-6 for m, (x, _) in zip(models, tasks(), strict=True)]
    for k in range(TASKS):
        weights = weights_by_hand(k + 1, alpha)
        above = sum(a * f * t for a, f, t in zip(weights, fisher, theta, strict=False))
        below = sum(a * f for a, f in zip(weights, fisher, strict=False))
        close(own[k], theta[k])
        close(merged[k], above / below)


def test_dropout_is_that_of_a_network_with_dropout_layers() -> None:
    own, _ = trained(SGDDropout, input_dropout=0.2, hidden_dropout=0.5)
    model = network()
    layers: list[nn.Module] = [nn.Dropout(0.2), Double(), nn.Flatten()]
    layers += [model[2], nn.Tanh(), nn.Dropout(0.5), model[4], nn.Tanh(), nn.Dropout(0.5), model[6]]
    with_dropout, steps = nn.Sequential(*layers), 0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8)
    for k, (x, y) in enumerate(tasks()):
        for _ in range(EPOCHS):
            for part, labels in zip(x.split(SIZE), y.split(SIZE), strict=True):
                torch.manual_seed(steps)
                steps += 1
                optimizer.zero_grad()
                nn.functional.cross_entropy(with_dropout(part), labels).backward()
                optimizer.step()
        close(own[k], flat(model))

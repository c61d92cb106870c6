"""A training of APD is that of a plain loop which is written from the equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.nn import functional as F

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.models.heads import MultiHeadModel, fresh_linear
from cl_strategies.strategies import APD, APDFixed


class Double(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.double()


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


OPTIONS = {"l1": 2e-3, "weight_decay": 0.02}
RATE, MOMENTUM, SIZE, EPOCHS = 0.1, 0.5, 16, 3


def tasks() -> list[Any]:
    generator = torch.Generator().manual_seed(3)
    made = []
    for task in range(3):
        y = torch.arange(48) % 2
        x = torch.rand(48, 1, 3, 3, generator=generator) + 0.2 * y.view(-1, 1, 1, 1)
        made.append((x.float(), y + 2 * task))
    return made


def trained(kind: Any, **options: Any) -> Any:
    """Weights and biases of each task on a network of two layers."""
    torch.manual_seed(0)
    network = MultiHeadModel(
        nn.Sequential(Double(), nn.Flatten(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 5)), 5
    )
    strategy = kind(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM),
        train_mb_size=SIZE,
        train_epochs=EPOCHS,
        evaluator=EvaluationPlugin(loggers=[]),
        **OPTIONS,
        **options,
    )
    data = tasks()
    stream = build_benchmark(data, data, name="small", scenario="task").train_stream
    for number, experience in enumerate(stream):
        torch.manual_seed(number)
        strategy.train(experience, shuffle=False)
    found = []
    for task in strategy.model.tasks:
        layers = [(layer, layer.tasks[task.name]) for layer in strategy.model.layers.values()]
        found += [layer.weight_of(entry) for layer, entry in layers]
        found += [entry.bias for _, entry in layers]
        found += strategy.model.head.heads[task.name].parameters()
    return [tensor.detach() for tensor in found]


def by_hand(*, drift: float, every: int, fixed: bool = False, spread: float = 0.0) -> Any:
    """The same from the equations: one group of tasks, everything in full."""
    torch.manual_seed(0)
    network = MultiHeadModel(
        nn.Sequential(Double(), nn.Flatten(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 5)), 5
    )
    sigma = [network.backbone[n].weight.detach().clone() for n in (2, 4)]
    first_biases = [network.backbone[n].bias.detach().clone() for n in (2, 4)]
    l1, decay = OPTIONS["l1"], OPTIONS["weight_decay"]
    done: list[Any] = []  # of each task: v, tau, common part, bias for both layers, and the head

    def theta(task: Any, n: int) -> Any:
        v, tau, common = (task[key][n] for key in ("v", "tau", "common"))
        return sigma[n] * (1 / (1 + torch.exp(-v)))[:, None] + tau + common

    for number, (x, y) in enumerate(tasks()):
        torch.manual_seed(number)
        head = fresh_linear(5, 2)
        new = {
            "v": [torch.zeros(7), torch.zeros(5)],
            "tau": [s.detach().clone() for s in sigma],
            "common": [torch.zeros(7, 9), torch.zeros(5, 7)],
            "bias": [b.clone() for b in (done[0]["bias"] if done else first_biases)],
            "head": [p.detach().clone() for p in head.parameters()],
        }
        learning = [*new["v"], *new["tau"], *new["bias"], *new["head"]]
        if not (fixed and done):
            learning += sigma
        if not fixed:
            learning += [tau for task in done for tau in task["tau"]]
        for tensor in learning:
            tensor.requires_grad_()
        goals = [[theta(task, n).detach() for n in (0, 1)] for task in done]
        momenta = [torch.zeros_like(tensor) for tensor in learning]
        for _ in range(EPOCHS):
            for start in range(0, 48, SIZE):
                h = x[start : start + SIZE].double().flatten(1)
                h = torch.tanh(h @ theta(new, 0).T + new["bias"][0])
                h = h @ theta(new, 1).T + new["bias"][1]
                loss = F.cross_entropy(
                    h @ new["head"][0].T + new["head"][1], y[start : start + SIZE] % 2
                )
                for n in (0, 1):
                    loss = loss + l1 * new["tau"][n].abs().sum()
                    loss = loss + decay / 2 * (new["tau"][n] ** 2).sum()
                    loss = loss + decay / 2 * (new["v"][n] ** 2).sum()
                    loss = loss + (0 if done else decay / 2 * (sigma[n] ** 2).sum())
                    for task, goal in [] if fixed else zip(done, goals, strict=True):
                        loss = loss + l1 * task["tau"][n].abs().sum()
                        loss = loss + drift / 2 * ((goal[n] - theta(task, n)) ** 2).sum()
                gradients = torch.autograd.grad(loss, learning)
                with torch.no_grad():
                    for p, m, g in zip(learning, momenta, gradients, strict=True):
                        m.mul_(MOMENTUM).add_(g)
                        p.sub_(RATE * m)
        done.append(new)
        for tensor in learning:
            tensor.requires_grad_(False)
        for task in done:
            task["tau"] = [torch.where(t.abs() > l1, t, 0.0) for t in task["tau"]]
        if every and len(done) % every == 0:
            for n in (0, 1):
                full = torch.stack([task["tau"][n] + task["common"][n] for task in done])
                near = full.max(0).values - full.min(0).values <= spread
                for task, tau in zip(done, full, strict=True):
                    task["common"][n] = torch.where(near, full.mean(0), 0.0)
                    task["tau"][n] = torch.where(near, 0.0, tau)
    return [
        tensor
        for task in done
        for tensor in (*(theta(task, n) for n in (0, 1)), *task["bias"], *task["head"])
    ]


@pytest.mark.parametrize(
    ("drift", "every", "spread"), [(2.0, 0, 0.0), (0.0, 0, 0.0), (2.0, 2, 0.15), (2.0, 3, 1e9)]
)
def test_training_is_that_of_a_loop_written_from_the_equations(float64, drift, every, spread):
    found = trained(APD, drift=drift, consolidate_every=every, groups=1, spread=spread)
    expected = by_hand(drift=drift, every=every, spread=spread)
    if every:  # something was near enough to become one
        assert not torch.equal(expected[0], by_hand(drift=drift, every=0)[0])
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-9)


def test_training_with_fixed_weights_is_that_of_such_a_loop_too(float64):
    found, expected = trained(APDFixed), by_hand(drift=0.0, every=0, fixed=True)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-9)

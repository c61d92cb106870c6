"""ALASSO and MAS as strategies against loops in plain PyTorch that share no code with them.

The same mini-batches in the same order, in float64: the trajectories are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.strategies import ALASSO, MAS

SIZE, EPOCHS, TASKS = 16, 4, 4


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.double()


def tasks() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(64) % 4
    noise = [torch.rand(64, 1, 4, 4, generator=generator) for _ in range(TASKS)]
    marks = [torch.randn(4, 1, 4, 4, generator=generator) for _ in range(TASKS)]
    return [(x + mark[y], y) for x, mark in zip(noise, marks, strict=True)]


def network() -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Flatten(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 4)]
    return nn.Sequential(Double(), *layers).double()


def optimizers() -> dict[str, Callable[[Any], torch.optim.Optimizer]]:
    return {
        "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.8),
        "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
    }


def batches(task: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(task[0].split(SIZE), task[1].split(SIZE), strict=True))


def trained(strategy: Any, model: nn.Module) -> list[Tensor]:
    """The parameters after each task."""
    benchmark = build_benchmark(tasks(), tasks(), name="by-hand", scenario="domain")
    path = []
    for experience in benchmark.train_stream:
        strategy.train(experience, shuffle=False)
        path.append(flat(model))
    return path


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def gradient(value: Tensor, model: nn.Module) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(model.parameters()))])


def step(optimizer: torch.optim.Optimizer, model: nn.Module, direction: Tensor) -> None:
    parameters = list(model.parameters())
    parts = direction.split([p.numel() for p in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter).clone()
    optimizer.step()


def alasso_by_hand(make: Any, *, strength: float, a: float, eps: float, xi: float) -> list[Tensor]:
    model = network()
    optimizer = make(model.parameters())
    center = previous = flat(model)
    importance = torch.zeros_like(center)
    trajectory = []
    for number, task in enumerate(tasks()):
        integral = torch.zeros_like(center)
        for x, y in batches(task) * EPOCHS:
            theta = flat(model)
            task_gradient = gradient(nn.functional.cross_entropy(model(x), y), model)
            seen = (theta - center) * (previous - center) > 0
            curvature = torch.where(seen, importance, a * importance + eps)
            pull = 2 * strength * curvature * (theta - center) if number else 0
            step(optimizer, model, task_gradient + pull)
            integral -= task_gradient * (flat(model) - theta)
        theta = flat(model)
        moved = (theta - center) ** 2
        importance = torch.maximum(importance, (integral - importance * moved) / (moved + xi))
        previous, center = center, theta
        trajectory.append(theta)
    return trajectory


def mas_by_hand(make: Any, *, strength: float, alpha: float) -> list[Tensor]:
    model = network()
    optimizer = make(model.parameters())
    center = flat(model)
    importance = torch.zeros_like(center)
    trajectory = []
    for number, task in enumerate(tasks()):
        for x, y in batches(task) * EPOCHS:
            pull = 2 * strength * importance * (flat(model) - center)
            step(optimizer, model, gradient(nn.functional.cross_entropy(model(x), y), model) + pull)
        sensitivities = [
            gradient((model(x) ** 2).sum(1).mean(), model).abs() for x, _ in batches(task)
        ]
        newest = torch.stack(sensitivities).mean(0)
        importance = alpha * importance + (1 - alpha) * newest if number else newest
        center = flat(model)
        trajectory.append(center)
    return trajectory


CASES: dict[str, tuple[Any, dict[str, Any], Any, dict[str, Any]]] = {
    "alasso": (
        ALASSO,
        {"strength": 20.0, "a": 2.5, "eps": 1e-3, "xi": 0.05},
        alasso_by_hand,
        {"strength": 20.0, "a": 2.5, "eps": 1e-3, "xi": 0.05},
    ),
    "mas": (
        MAS,
        {"strength": 0.5, "alpha": 0.3},
        mas_by_hand,
        {"strength": 0.5, "alpha": 0.3},
    ),
}


@pytest.mark.parametrize("optimizer", optimizers())
@pytest.mark.parametrize("name", CASES)
def test_the_trajectory_is_that_of_a_plain_loop(name: str, optimizer: str) -> None:
    make = optimizers()[optimizer]
    strategy, options, by_hand, settings = CASES[name]

    def run(**chosen: Any) -> list[Tensor]:
        model = network()
        made = strategy(
            model=model,
            optimizer=make(model.parameters()),
            train_mb_size=SIZE,
            train_epochs=EPOCHS,
            evaluator=None,
            **chosen,
        )
        return trained(made, model)

    ours, theirs = run(**options), by_hand(make, **settings)
    first = next(iter(options))
    assert (run(**{**options, first: 0.0})[-1] - ours[-1]).abs().max() > 1e-2  # it acts
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)

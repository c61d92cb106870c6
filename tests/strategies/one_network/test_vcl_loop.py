"""VCL's whole training, and its predictions with coresets, against a loop written apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from avalanche.models import MultiTaskModule
from avalanche.training.plugins import SupervisedPlugin
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.strategies import VCL

RATE, EPOCHS, BATCH, DRAWS, SAMPLES, SEED = 0.01, 3, 16, 4, 64, 5
DEVIATION, PRIOR = -5.0, 0.5
Loss = Callable[[Tensor, Tensor], Tensor]


class TwoLayers(MultiTaskModule):
    """A hidden layer below a head per task; with one head it is given no task labels."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.max_class_label = 2
        self.hidden = nn.Linear(16, 8)
        self.heads = nn.ModuleList([nn.Linear(8, 2) for _ in range(heads)])

    def forward(self, x: Tensor, task_labels: Any) -> Tensor:
        """As Avalanche's, in float64, for a mini-batch of one task."""
        return self.forward_single_task(x, int(torch.as_tensor(task_labels).unique()))

    def forward_single_task(self, x: Tensor, task_label: int) -> Tensor:
        return self.heads[task_label](self.hidden(x.double().flatten(1)).relu())


class OneHead(nn.Module):
    """The same network for a strategy that knows no tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = TwoLayers(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.parts.forward_single_task(x, 0)


def network(heads: int) -> nn.Module:
    torch.manual_seed(0)
    return (OneHead() if heads == 1 else TwoLayers(heads)).double()


def tasks() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for shift in range(3):
        y = torch.arange(SAMPLES) % 2
        x = torch.rand(SAMPLES, 1, 4, 4, generator=generator)
        x[y == 1, 0, shift] += 0.5
        made.append((x, y))
    return made


class Loop:
    """The algorithm from its equations: means and logarithms of variances of all weights.

    :ivar own: positions of the weights that the present task computes with.
    """

    def __init__(self, model: nn.Module) -> None:
        self.noise = Generator().manual_seed(SEED)
        self.means = [p.detach().clone().requires_grad_() for p in model.parameters()]
        self.logs = [torch.full_like(p, DEVIATION).requires_grad_() for p in self.means]
        self.old = [
            (torch.zeros_like(mean), torch.full_like(mean, PRIOR).log()) for mean in self.means
        ]
        self.own = [0, 1, 2, 3]

    def fit(self, x: Tensor, y: Tensor, loss: Loss, trained: list[Tensor], order: Any) -> None:
        optimizer = torch.optim.Adam(trained, lr=RATE)
        for _ in range(EPOCHS):
            for rows in order().split(BATCH):
                optimizer.zero_grad()
                loss(x[rows], y[rows]).backward()
                optimizer.step()

    def plain(self, x: Tensor, y: Tensor) -> Tensor:
        weight, bias, head, offset = (self.means[place] for place in self.own)
        return F.cross_entropy((x @ weight.T + bias).relu() @ head.T + offset, y)

    def drawn(self, x: Tensor, layer: int) -> Tensor:
        (weight, bias), (v, b) = (
            [table[place] for place in self.own[layer : layer + 2]]
            for table in (self.means, self.logs)
        )
        deviation = ((x**2) @ v.exp().T + b.exp()).sqrt()
        epsilon = torch.randn(len(x), len(bias), generator=self.noise, dtype=torch.float64)
        return x @ weight.T + bias + deviation * epsilon

    def outputs(self, x: Tensor, draws: int) -> Tensor:
        return self.drawn(self.drawn(torch.cat([x] * draws), 0).relu(), 2)

    def bound(self, size: int) -> Loss:
        def negative(x: Tensor, y: Tensor) -> Tensor:
            likelihood = -F.cross_entropy(self.outputs(x, DRAWS), torch.cat([y] * DRAWS))
            divergence = 0.0
            for place in self.own:
                (m0, log0), m, log = self.old[place], self.means[place], self.logs[place]
                ratio = log.exp() / log0.exp()
                terms = ratio - ratio.log() + (m - m0) ** 2 / log0.exp() - 1
                divergence = divergence + 0.5 * terms.sum()
            return divergence / size - likelihood

        return negative

    def settle(self) -> None:
        """Make the posterior of what the task computed with the next prior."""
        for place in self.own:
            pair = (self.means[place], self.logs[place])
            self.old[place] = tuple(tensor.detach().clone() for tensor in pair)

    def learn(self, x: Tensor, y: Tensor, *, pretrain: bool) -> None:
        def order() -> Tensor:
            return torch.arange(len(x))

        means, logs = ([table[place] for place in self.own] for table in (self.means, self.logs))
        if pretrain:
            self.fit(x, y, self.plain, means, order)
        self.fit(x, y, self.bound(len(x)), [*means, *logs], order)
        self.settle()


def strategy_for(model: nn.Module, *plugins: Any, **options: Any) -> VCL:
    strategy = VCL(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=RATE),
        train_samples=DRAWS,
        initial_log_variance=DEVIATION,
        prior_variance=PRIOR,
        train_mb_size=BATCH,
        train_epochs=EPOCHS,
        evaluator=None,
        plugins=plugins,
        **options,
    )
    strategy.model.noise.generator = Generator().manual_seed(SEED)
    return strategy


@pytest.mark.parametrize(("pretrain", "heads"), [(True, 1), (False, 1), (True, 3)])
def test_the_weights_are_those_of_a_loop_written_from_the_equations(pretrain, heads):
    model = network(heads)
    loop = Loop(model)
    for number, (images, labels) in enumerate(tasks()):
        loop.own = [0, 1, 2 + 2 * (number % heads), 3 + 2 * (number % heads)]
        loop.learn(images.flatten(1).double(), labels, pretrain=pretrain and number == 0)

    strategy = strategy_for(model, pretrain=pretrain)
    scenario = "domain" if heads == 1 else "task"
    stream = build_benchmark(tasks(), tasks(), name="small", scenario=scenario)
    for experience in stream.train_stream:
        strategy.train(experience, shuffle=False)
    pairs = [pair for layer in strategy.model.layers.values() for pair in layer.pairs()]
    found = [mean for mean, _ in pairs] + [log for _, log in pairs]
    assert (found[0] - next(model.parameters())).abs().max() > 0.01
    for one, other in zip(found, [*loop.means, *loop.logs], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("heads", [1, 3])
def test_predictions_with_coresets_are_those_of_the_loop(heads):
    """Random numbers are those of the plugin, fresh for each evaluation."""
    size, model = 10, network(heads)
    loop = Loop(model)
    coresets = []
    for number, (images, labels) in enumerate(tasks()):
        loop.own = [0, 1, 2 + 2 * (number % heads), 3 + 2 * (number % heads)]
        x = images.flatten(1).double()
        kept = [0]
        while len(kept) < size:  # the farthest from those before it
            distances = {
                row: min(torch.dist(x[row], x[other]).item() for other in kept)
                for row in range(SAMPLES)
                if row not in kept
            }
            kept.append(max(distances, key=lambda row: (distances[row], -row)))
        rest = [row for row in range(SAMPLES) if row not in kept]
        coresets.append((x[kept], labels[kept]))
        loop.learn(x[rest], labels[rest], pretrain=number == 0)

    logits: list[Tensor] = []

    class Keep(SupervisedPlugin):
        def after_eval_forward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            logits.append(strategy.mb_output)

    options = {"coreset": "k-center", "coreset_size": size, "test_samples": DRAWS}
    strategy = strategy_for(model, Keep(), **options)
    scenario = "domain" if heads == 1 else "task"
    stream = build_benchmark(tasks(), tasks(), name="small", scenario=scenario)
    for experience in stream.train_stream:
        strategy.train(experience, shuffle=False)
    strategy.eval(stream.test_stream)

    kept_weights = [tensor.detach().clone() for tensor in (*loop.means, *loop.logs)]
    for number, (images, _) in enumerate(tasks()):
        for tensor, value in zip((*loop.means, *loop.logs), kept_weights, strict=True):
            tensor.data.copy_(value)
        chosen = coresets if heads == 1 else [coresets[number]]
        loop.own = [0, 1, 2 + 2 * (number % heads), 3 + 2 * (number % heads)]
        x, y = (torch.cat(parts) for parts in zip(*chosen, strict=True))
        loop.noise = Generator().manual_seed(0)
        shuffled = Generator().manual_seed(0)
        loop.fit(
            x,
            y,
            loop.bound(len(x)),
            [table[place] for table in (loop.means, loop.logs) for place in loop.own],
            lambda x=x, shuffled=shuffled: torch.randperm(len(x), generator=shuffled),
        )
        loop.noise = Generator().manual_seed(0)
        outputs = loop.outputs(images.flatten(1).double(), DRAWS).view(DRAWS, SAMPLES, 2)
        probabilities = outputs.softmax(2).mean(0)
        torch.testing.assert_close(logits[number].exp(), probabilities, rtol=0, atol=1e-9)

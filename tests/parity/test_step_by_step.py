"""Whole trainings of class-incremental methods beside a plain loop, step by step.

Both have the same initial weights, rows of new classes and orders of samples. All else is each
one's own: losses, teachers, modes of BatchNorm, the optimizer's state, alignment, exemplars and
what is joined to the data. Long trainings are chaotic, so these are short.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn
from torchvision.transforms import Normalize

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.models.heads import GrowingClassifier, SingleHeadModel
from cl_strategies.registry import registry

sys.path.insert(0, str(Path(__file__).parent))
from plain_loop import Plain, align, herded, linear, train_phase

#: Rounding errors grow with the steps.
CLOSE = {"rtol": 1e-3, "atol": 1e-4}
PHASES = [[3, 5], [0, 4], [1, 2]]
ARRIVAL = [label for experience in PHASES for label in experience]
SIZE, EACH, MEMORY, EPOCHS, BATCH = 8, 20, 13, 2, 16
OPTIONS = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
STRATEGIES: dict[str, tuple[str, dict[str, Any]]] = {
    "replay": ("compressed-replay", {"join": "concat"}),
    "icarl": ("icarl", {}),
    "wa": ("wa", {}),
    "der": ("der-expandable", {}),
}


class Recorder(SupervisedPlugin):
    """What the plain loop is given, and what it is compared with."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[nn.Module] = []
        self.ends: list[nn.Module] = []
        self.batches: list[list[tuple[Tensor, Tensor]]] = []
        self.losses: list[list[float]] = []
        self.exemplars: list[dict[int, list[Tensor]]] = []

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.starts.append(copy.deepcopy(strategy.model))
        self.batches.append([])
        self.losses.append([])

    def after_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.batches[-1].append((strategy.mb_x.clone(), strategy.mb_y.clone()))
        self.losses[-1].append(strategy.loss.item())

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.ends.append(copy.deepcopy(strategy.model))
        kept: dict[int, list[Tensor]] = {}
        for x, y, *_ in strategy.memory.memory.buffer.eval():
            kept.setdefault(int(y), []).append(x)
        self.exemplars.append(kept)


def images() -> tuple[Tensor, Tensor]:
    """Images in ``[0, 1]`` that bytes hold exactly, and their class ids."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(6).repeat_interleave(EACH)
    means = torch.randint(60, 190, (6, 1, SIZE, SIZE), generator=generator)
    noise = torch.randint(-60, 61, (len(labels), 1, SIZE, SIZE), generator=generator)
    return (means[labels] + noise).float() / 255, labels


def backbone() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, 2, 1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Flatten(),
    )


def recorded(method: str, head: str) -> Recorder:
    x, y = images()
    parts = [(x[torch.isin(y, torch.tensor(p))], y[torch.isin(y, torch.tensor(p))]) for p in PHASES]
    benchmark = build_benchmark(
        parts,
        parts,
        name="steps",
        scenario="class",
        classes=PHASES,
        transforms=(Normalize((0.5,), (0.25,)), Normalize((0.5,), (0.25,))),
    )
    torch.manual_seed(2)
    model = SingleHeadModel(
        backbone(), GrowingClassifier(48) if head == "growing" else nn.Linear(48, len(ARRIVAL))
    )
    recorder = Recorder()
    name, options = STRATEGIES[method]
    strategy = registry("strategies")[name].load()(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), **OPTIONS),
        train_mb_size=BATCH,
        train_epochs=EPOCHS,
        plugins=[recorder],
        evaluator=None,
        mem_bytes=MEMORY * (SIZE * SIZE + 23),  # raw images with header and label
        codec="raw",
        **options,
    )
    strategy.memory.memory.pool = False
    for experience in benchmark.train_stream:
        if method == "replay":  # the others begin each experience without momentum by themselves
            strategy.optimizer.state.clear()
        strategy.train(experience)
    return recorder


def rows(model: Any, n_classes: int) -> tuple[Tensor, Tensor]:
    """Weights and biases of the head in the order of arrival."""
    if not isinstance(model, SingleHeadModel):
        head = model.classifier
        return head.weight.detach(), head.bias.detach()
    if isinstance(model.head, GrowingClassifier):
        return model.head.classifier.weight.detach(), model.head.classifier.bias.detach()
    head = model.head
    return head.weight.detach()[ARRIVAL[:n_classes]], head.bias.detach()[ARRIVAL[:n_classes]]


def as_sorted(x: Tensor) -> Tensor:
    """Images as rows in an order of their own."""
    return torch.stack(sorted(x.flatten(1), key=lambda row: row.tolist()))


@pytest.mark.parametrize(
    ("method", "head"),
    [("replay", "growing"), ("replay", "wide"), ("icarl", "growing"), ("wa", "growing"),
     ("der", "growing")],
)  # fmt: skip
def test_a_training_is_that_of_a_plain_loop(method, head):
    run = recorded(method, head)
    pixels, labels = images()
    x = (pixels - 0.5) / 0.25
    indices = torch.tensor([ARRIVAL.index(label) for label in labels.tolist()])
    first: Any = run.starts[0]
    body = first.backbone[0] if method == "der" else first.backbone
    network, teacher, memory = Plain(copy.deepcopy(body)), None, dict[int, list[int]]()
    for experience, classes in enumerate(PHASES):
        n_old, n_seen = 2 * experience, 2 * experience + len(classes)
        start: Any = run.starts[experience]
        if experience and method == "der":
            network.expand()
            network.auxiliary = linear(start.auxiliary.weight, start.auxiliary.bias)
        weight, bias = rows(start, n_seen)
        assert weight.shape == (n_seen, 48 * len(network.backbones))
        if experience:
            known = network.head.weight
            torch.testing.assert_close(weight[:n_old, : known.shape[1]], known, **CLOSE)
            torch.testing.assert_close(bias[:n_old], network.head.bias, **CLOSE)
        network.head = linear(weight, bias)

        given = [
            (a, torch.tensor([ARRIVAL.index(i) for i in b.tolist()]))
            for a, b in run.batches[experience]
        ]
        here = torch.cat([(indices >= n_old).logical_and(indices < n_seen).nonzero()[:, 0],
                          *(torch.tensor(kept) for kept in memory.values())])  # fmt: skip
        steps = -(-len(here) // BATCH)
        assert len(given) == EPOCHS * steps
        for epoch in range(EPOCHS):
            seen = torch.cat([a for a, _ in given[epoch * steps : (epoch + 1) * steps]])
            torch.testing.assert_close(as_sorted(seen), as_sorted(x[here]))

        losses = train_phase(method, network, n_old, given, teacher, **OPTIONS)
        torch.testing.assert_close(losses, run.losses[experience], **CLOSE)
        if experience and method in ("wa", "der"):
            align(network.head, n_old)
        each = MEMORY // n_seen
        memory = {unit: kept[:each] for unit, kept in memory.items()}
        for unit in range(n_old, n_seen):
            members = (indices == unit).nonzero()[:, 0]
            memory[unit] = members[herded(network, x[members], each)].tolist()
        assert {ARRIVAL[unit] for unit in memory} == set(run.exemplars[experience])
        for unit, kept in memory.items():
            torch.testing.assert_close(
                torch.stack(run.exemplars[experience][ARRIVAL[unit]]), x[kept]
            )

        end: Any = run.ends[experience]
        weight, bias = rows(end, n_seen)
        torch.testing.assert_close(weight, network.head.weight.detach(), **CLOSE)
        torch.testing.assert_close(bias, network.head.bias.detach(), **CLOSE)
        bodies = end.backbone if method == "der" else [end.backbone]
        for own, plain in zip(bodies, network.backbones, strict=True):
            torch.testing.assert_close(own.state_dict(), plain.state_dict(), **CLOSE)
        teacher = copy.deepcopy(network).requires_grad_(False)

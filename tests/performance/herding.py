"""A class-balanced memory of 2,000 exemplars filled by herding, over 20 experiences."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training.storage_policy import HerdingSelectionStrategy, ParametricBuffer
from avalanche.training.supervised import Naive
from loops import Data
from measurement import Measurement
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from cl_strategies.plugins.exemplars.buffer.byte_budget import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.buffer.quota import RECORD_BYTES
from cl_strategies.plugins.exemplars.codecs.base import HEADER

CLASSES, EXPERIENCES, IMAGES, MEMORY = 100, 20, 10_000, 2_000
LEAST = 20.0


class Network(nn.Module):
    """Features of unit length, which both rankings then rank alike."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(784, 256)
        self.features = nn.Identity()
        self.classifier = nn.Linear(256, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        features = F.relu(self.layer(x.flatten(1).float() / 255))
        return self.classifier(self.features(F.normalize(features)))


def measurements(data: Data, rounds: int) -> list[Measurement]:
    """How many times faster the byte-budget buffer is than Avalanche's parametric one.

    :raises SystemExit: if the two do not choose the same exemplars from the first experience.
    """
    pixels = (data.x[:IMAGES] * 255).round().to(torch.uint8).view(-1, 1, 28, 28)
    labels = torch.arange(IMAGES) % CLASSES  # herding does not care what a class shows
    shuffled = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(0))
    arrangements = (
        ("herding", "100 classes in each of 20 experiences", shuffled, LEAST),
        ("herding-new-classes", "5 new classes in each of 20", labels.argsort(stable=True), None),
    )
    return [
        _measure(name, title, pixels, labels, order.view(EXPERIENCES, -1), rounds, least)
        for name, title, order, least in arrangements
    ]


def _measure(
    name: str,
    title: str,
    pixels: Tensor,
    labels: Tensor,
    parts: Tensor,
    rounds: int,
    least: float | None,
) -> Measurement:
    experiences = _stream(pixels, labels, parts)
    first_ours, first_stock = _ours(), _stock()
    _update(first_ours, experiences[:1])
    _update(first_stock, experiences[:1])
    if _contents(first_ours.buffer) != _contents(first_stock.buffer):
        raise SystemExit(f"{name}: the two buffers hold different exemplars")
    ratios = []
    for _ in range(rounds):
        ours, stock = _update(_ours(), experiences), _update(_stock(), experiences)
        ratios.append(stock / ours)
    return Measurement(
        name=name,
        title=f"Updating a herding memory, {title}: Avalanche / ours",
        values=ratios,
        proof="same exemplars after the first experience; later Avalanche ranks anew what it kept",
        least=least,
    )


def _ours() -> ByteBudgetBuffer:
    return ByteBudgetBuffer(mem_bytes=MEMORY * (RECORD_BYTES + HEADER.size + 784), order="herding")


def _stock() -> ParametricBuffer:
    ranking = HerdingSelectionStrategy(NETWORK, "features")
    return ParametricBuffer(MEMORY, groupby="class", selection_strategy=ranking)


def _update(buffer: Any, experiences: Sequence[Any]) -> float:
    start = time.perf_counter()
    for experience in experiences:
        buffer.post_adapt(STRATEGY, experience)
    return time.perf_counter() - start


def _stream(pixels: Tensor, labels: Tensor, parts: Tensor) -> list[Any]:
    datasets = []
    for rows in parts:
        part = TensorDataset(pixels[rows], labels[rows])
        part.targets = labels[rows].tolist()
        datasets.append(as_classification_dataset(part))
    return list(benchmark_from_datasets(train=datasets).train_stream)


def _contents(buffer: Any) -> list[bytes]:
    return sorted(buffer[i][0].to(torch.uint8).numpy().tobytes() for i in range(len(buffer)))


NETWORK = Network()
STRATEGY = Naive(
    model=NETWORK,
    optimizer=torch.optim.SGD(NETWORK.parameters(), lr=0.1),
    criterion=nn.CrossEntropyLoss(),
    eval_mb_size=256,
    evaluator=None,
)

"""Whether a penalty costs more the more tasks it has seen: task 100 against task 2."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import loops
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.core import SupervisedPlugin
from loops import Data
from measurement import Measurement
from torch.utils.data import TensorDataset

from cl_strategies.experiment.state.capture import state_bytes
from cl_strategies.plugins import ResidentDataPlugin
from cl_strategies.strategies import ALASSO, EWC, MAS, SI

EARLY, LATE, IMAGES, EPOCHS = 2, 100, 4096, 8
METHODS: dict[str, Callable[..., Any]] = {"SI": SI, "ALASSO": ALASSO, "EWC": EWC, "MAS": MAS}
MOST = 1.05


class _StepSeconds(SupervisedPlugin):
    """Seconds in mini-batches of the latest experience."""

    seconds = 0.0

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.seconds = 0.0

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self._start = time.perf_counter()

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self.seconds += time.perf_counter() - self._start


def measurements(data: Data, rounds: int) -> list[Measurement]:
    """Time of a step from task 100 on over that from task 2 on, and the ratio of stored bytes."""
    return [
        figure
        for name, method in METHODS.items()
        for figure in _measure(name, method, data, rounds)
    ]


def _measure(
    name: str, method: Callable[..., Any], data: Data, rounds: int
) -> tuple[Measurement, Measurement]:
    early, late = _Learner(method, data), _Learner(method, data)
    for _ in range(EARLY - 1):
        early.learn()
    for _ in range(LATE - 1):
        late.learn()
    sizes = state_bytes(late.strategy) / state_bytes(early.strategy)
    ratios = []
    early.strategy.train_epochs = late.strategy.train_epochs = EPOCHS
    for _ in range(rounds):
        before, after = early.learn(), late.learn()
        ratios.append(after / before)
    return (
        Measurement(
            name=f"step-{name.lower()}",
            title=f"{name}: a training step in task {LATE} against task {EARLY}",
            values=ratios,
            most=MOST,
        ),
        Measurement(
            name=f"bytes-{name.lower()}",
            title=f"{name}: stored bytes before task {LATE} against task {EARLY}",
            values=[sizes],
            most=1.0,
        ),
    )


class _Learner:
    """A strategy and as many tasks as it is asked to learn: pixels permuted, always others."""

    def __init__(self, method: Callable[..., Any], data: Data) -> None:
        net = loops.network()
        self.clock = _StepSeconds()
        self.strategy = method(
            model=net,
            optimizer=torch.optim.SGD(net.parameters(), lr=0.01),
            train_mb_size=loops.BATCH,
            train_epochs=1,
            evaluator=None,
            plugins=[ResidentDataPlugin(), self.clock],
        )
        self.x, self.y = data.x[:IMAGES], data.y[:IMAGES]
        self.generator = torch.Generator().manual_seed(loops.SEED)

    def learn(self) -> float:
        """Seconds that the mini-batches of the next task took."""
        order = torch.randperm(self.x.shape[1], generator=self.generator)
        part = TensorDataset(self.x[:, order].contiguous(), self.y)
        part.targets = self.y.tolist()
        stream = benchmark_from_datasets(train=[as_classification_dataset(part)]).train_stream
        self.strategy.train(stream[0])
        return self.clock.seconds

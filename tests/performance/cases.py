"""What is compared: for each case a raw loop, Avalanche as it comes, and this package."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import loops
import pictures
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.evaluation.metrics import accuracy_metrics, forgetting_metrics, loss_metrics
from avalanche.training.plugins import (
    EvaluationPlugin,
    ReplayPlugin,
    SynapticIntelligencePlugin,
)
from avalanche.training.supervised import Naive
from loops import Data, Result
from torch import nn
from torch.utils.data import TensorDataset
from torchvision import transforms as tv

from cl_strategies.plugins import (
    ALASSOPlugin,
    LeanEvaluationPlugin,
    ResidentDataPlugin,
    SIPlugin,
    cl_metrics,
)

Contender = Callable[[Data], tuple[float, Result]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table.

    :param stock: Avalanche's stock path.
    :param ours: the same with this package.
    :param raw: the hand-written loop to compare with.
    :param proof: what must have computed the same as ``ours``, to ``tolerance`` (0: bit-equal).
    :param most: upper limit of ours / raw.
    :param least: lower limit of stock / ours.
    """

    name: str
    title: str
    stock: Contender
    ours: Contender
    raw: Contender
    proof: dict[str, Contender]
    tolerance: float = 0.0
    most: float | None = None
    least: float | None = None


def cases() -> list[Case]:
    """Every case, in the order of the table."""
    return [
        Case(
            name="naive",
            title="Naive",
            raw=loops.train,
            stock=trained(),
            ours=trained(resident=True),
            proof={"raw loop": loops.train, "Avalanche": trained()},
            most=1.15,
            least=2.0,
        ),
        Case(
            name="naive-lean",
            title="Naive, LeanEvaluationPlugin",
            raw=loops.train,
            stock=trained(),
            ours=trained(resident=True, lean=True),
            proof={"raw loop": loops.train, "Avalanche": trained()},
            most=1.15,
            least=2.0,
        ),
        Case(
            name="metrics",
            title="Naive with accuracy, loss and forgetting",
            raw=loops.train,
            stock=trained(metrics=avalanche_metrics),
            ours=trained(resident=True, lean=True, metrics=avalanche_metrics),
            proof={"raw loop": loops.train, "Avalanche": trained(metrics=avalanche_metrics)},
            most=1.25,
            least=2.0,
        ),
        Case(
            name="si",
            title="SI",
            raw=loops.train,
            stock=trained(plugins=lambda: [SynapticIntelligencePlugin(si_lambda=1.0)]),
            ours=trained(resident=True, lean=True, plugins=lambda: [SIPlugin()]),
            proof={
                "hand-written SI": loops.train_si,
                "SIPlugin on Avalanche's loader": trained(plugins=lambda: [SIPlugin()]),
            },
            tolerance=1e-6,
            most=1.5,
            least=3.0,
        ),
        Case(
            name="alasso",
            title="ALASSO",
            raw=loops.train,
            stock=trained(plugins=lambda: [ALASSOPlugin()]),
            ours=trained(resident=True, lean=True, plugins=lambda: [ALASSOPlugin()]),
            proof={"ALASSOPlugin on Avalanche's loader": trained(plugins=lambda: [ALASSOPlugin()])},
            most=1.5,
            least=2.0,
        ),
        Case(
            name="replay",
            title="Replay, 2,000 exemplars",
            raw=loops.train,
            stock=trained(plugins=lambda: [ReplayPlugin(mem_size=2000)]),
            ours=trained(resident=True, lean=True, plugins=lambda: [ReplayPlugin(mem_size=2000)]),
            proof={"Avalanche": trained(plugins=lambda: [ReplayPlugin(mem_size=2000)])},
            least=2.0,
        ),
        Case(
            name="evaluation",
            title="Evaluation",
            raw=loops.evaluate,
            stock=evaluated(lambda: [accuracy_metrics(stream=True)], lean=False),
            ours=evaluated(lambda: cl_metrics()[:1], lean=True),
            proof={"raw loop": loops.evaluate, "Avalanche": evaluated_stock()},
            tolerance=1e-6,
            least=2.0,
        ),
        Case(
            name="augmented",
            title="Naive, Pillow images cropped and flipped, 2 epochs",
            raw=loops.train_augmented,
            stock=augmented(resident=False),
            ours=augmented(resident=True),
            proof={},
            least=2.0,
        ),
        Case(
            name="resnet",
            title="ResNet-18, 32x32 Pillow images cropped and flipped",
            raw=pictures.raw,
            stock=pictures.stock,
            ours=pictures.ours,
            proof={"raw loop": pictures.raw},
            most=1.05,
            least=1.3,
        ),
    ]


def avalanche_metrics() -> list[Any]:
    """The metrics most scripts start with; none of them per mini-batch."""
    return [
        accuracy_metrics(epoch=True, experience=True, stream=True),
        loss_metrics(epoch=True, experience=True, stream=True),
        forgetting_metrics(experience=True, stream=True),
    ]


def trained(
    *,
    resident: bool = False,
    lean: bool = False,
    plugins: Callable[[], list[Any]] = list,
    metrics: Callable[[], list[Any]] = list,
) -> Contender:
    """Train one epoch of each task in turn; the clock starts with ``strategy.train``."""

    def run(data: Data) -> tuple[float, Result]:
        stream = nc_benchmark(
            tensors(data.x, data.y),
            tensors(data.test_x, data.test_y),
            n_experiences=2,
            task_labels=False,
            shuffle=False,
        )
        strategy = naive(
            [*plugins(), *([ResidentDataPlugin()] if resident else [])], metrics(), lean=lean
        )
        torch.manual_seed(loops.SEED)
        start = time.perf_counter()
        for experience in stream.train_stream:
            strategy.train(experience)
        return time.perf_counter() - start, [p.detach() for p in strategy.model.parameters()]

    return run


def evaluated(metrics: Callable[[], list[Any]], *, lean: bool) -> Contender:
    """Evaluate the untrained network on all test images, as one experience, the second time."""

    def run(data: Data) -> tuple[float, Result]:
        test = tensors(data.test_x, data.test_y)
        stream = nc_benchmark(test, test, n_experiences=1, task_labels=False, shuffle=False)
        strategy = naive([ResidentDataPlugin()] if lean else [], metrics(), lean=lean)
        strategy.eval(stream.test_stream)
        start = time.perf_counter()
        results = strategy.eval(stream.test_stream)
        seconds = time.perf_counter() - start
        return seconds, [torch.tensor(next(iter(results.values())))]

    return run


def evaluated_stock() -> Contender:
    return evaluated(lambda: [accuracy_metrics(stream=True)], lean=False)


def augmented(*, resident: bool) -> Contender:
    """Two epochs over augmented pictures, one experience."""

    def run(data: Data) -> tuple[float, Result]:
        pictures = loops.GrayPictures(data, len(data.y) // 10)
        pipeline = tv.Compose(loops.AUGMENTATION.transforms[:-1])
        stream = nc_benchmark(
            pictures,
            pictures,
            n_experiences=1,
            task_labels=False,
            shuffle=False,
            train_transform=pipeline,
            eval_transform=pipeline,
        )
        strategy = naive([ResidentDataPlugin()] if resident else [], [], lean=resident)
        strategy.model = nn.Sequential(nn.Flatten(), *strategy.model)
        strategy.optimizer = torch.optim.SGD(strategy.model.parameters(), lr=loops.RATE)
        strategy.train_epochs = 2
        start = time.perf_counter()
        strategy.train(stream.train_stream[0])
        return time.perf_counter() - start, []

    return run


def naive(plugins: list[Any], metrics: list[Any], *, lean: bool) -> Naive:
    net = loops.network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = (LeanEvaluationPlugin if lean else EvaluationPlugin)(*metrics, loggers=None)
    return Naive(
        model=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=loops.RATE),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=loops.BATCH,
        train_epochs=1,
        eval_mb_size=loops.EVAL_BATCH,
        plugins=plugins,
        evaluator=evaluator,
    )


def tensors(x: torch.Tensor, y: torch.Tensor) -> TensorDataset:
    data = TensorDataset(x, y)
    data.targets = y.tolist()
    return data

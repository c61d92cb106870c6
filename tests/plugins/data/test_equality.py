"""With and without ResidentDataPlugin: bit-equal weights and metrics under the same seed."""

from __future__ import annotations

import functools
import logging
import random
import warnings

import numpy as np
import pytest
import torch
from avalanche.benchmarks import (
    benchmark_from_datasets,
    class_incremental_benchmark,
    nc_benchmark,
)
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.benchmarks.utils.data_loader import (
    GroupBalancedDataLoader,
    GroupBalancedInfiniteDataLoader,
    ReplayDataLoader,
    TaskBalancedDataLoader,
)
from avalanche.evaluation.metrics import accuracy_metrics, loss_metrics
from avalanche.models import MTSimpleMLP
from avalanche.training.plugins import EvaluationPlugin, LwFPlugin, ReplayPlugin
from avalanche.training.supervised import (
    AGEM,
    DER,
    ER_ACE,
    EWC,
    Cumulative,
    GDumb,
    JointTraining,
    Naive,
)
from PIL import Image
from torch import nn
from torch.utils.data import Dataset, TensorDataset
from torchvision import transforms as tv

from cl_strategies.benchmarks.loading import load
from cl_strategies.plugins import ResidentDataPlugin, cl_metrics
from cl_strategies.plugins.data.loader import ResidentLoader
from cl_strategies.plugins.data.store import Store

CPU = torch.device("cpu")
SIDE = 6


def tensors(n: int, seed: int, classes: int = 6, dtype=torch.float32) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    x = torch.randn(n, 1, SIDE, SIDE, generator=generator) + y.view(-1, 1, 1, 1)
    data = TensorDataset(x.to(dtype), y)
    data.targets = y.tolist()
    return data


class Pictures(Dataset):
    """Pillow images, with a count of how often one was read."""

    def __init__(self, n: int, mode: str = "RGB", side: int = SIDE) -> None:
        shape = (n, side, side, 3) if mode == "RGB" else (n, side, side)
        self.pixels = np.random.RandomState(n).randint(0, 256, shape, dtype=np.uint8)
        self.targets = [i % 6 for i in range(n)]
        self.reads = 0

    def __getitem__(self, i: int):
        self.reads += 1
        return Image.fromarray(self.pixels[i]), self.targets[i]

    def __len__(self) -> int:
        return len(self.targets)


def class_split(**options):
    return nc_benchmark(
        tensors(122, 0),
        tensors(61, 1),
        n_experiences=3,
        shuffle=False,
        task_labels=False,
        **options,
    )


def task_split():
    return nc_benchmark(
        tensors(122, 0),
        tensors(61, 1),
        n_experiences=3,
        shuffle=False,
        task_labels=True,
        class_ids_from_zero_in_each_exp=True,
    )


def unlabeled_split():
    """Experiences without task labels are read through a plain PyTorch loader."""
    train, test = (as_classification_dataset(tensors(n, n)) for n in (122, 61))
    return class_incremental_benchmark({"train": train, "test": test}, num_experiences=3)


def picture_split():
    pipeline = tv.Compose([tv.ToTensor(), tv.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))])
    return nc_benchmark(
        Pictures(90),
        Pictures(30),
        n_experiences=3,
        shuffle=False,
        task_labels=False,
        train_transform=pipeline,
        eval_transform=pipeline,
    )


def network(channels: int = 1) -> nn.Module:
    # Dropout draws from the generator that the loaders draw from.
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * SIDE * SIDE, 16),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(16, 6),
    )


def run(
    stream,
    *,
    resident: bool,
    kind=Naive,
    model=network,
    plugins=list,
    first: bool = False,
    train_options=None,
    **options,
):
    """Weights, the next random number, and all metrics after training on a stream."""
    torch.manual_seed(3)
    random.seed(3)
    benchmark = stream()
    net = model()
    chosen = plugins()
    if resident:
        chosen = [ResidentDataPlugin(), *chosen] if first else [*chosen, ResidentDataPlugin()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = EvaluationPlugin(
            accuracy_metrics(epoch=True, experience=True),
            loss_metrics(experience=True),
            cl_metrics(),
        )
        strategy = kind(
            model=net,
            optimizer=torch.optim.SGD(net.parameters(), lr=0.05),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=10,
            train_epochs=2,
            eval_mb_size=16,
            plugins=chosen,
            evaluator=evaluator,
            **options,
        )
        parts = (
            [benchmark.train_stream]
            if kind is JointTraining
            else [[experience] for experience in benchmark.train_stream]
        )
        loaders = set()
        if resident:
            spy(strategy, loaders)
        for part in parts:
            strategy.train(part, **(train_options or {}))
            strategy.eval(benchmark.test_stream)
    if resident:
        assert loaders == {ResidentLoader}, "the stock loader was used somewhere"
    weights = [p.detach().clone() for p in strategy.model.state_dict().values()]
    return weights, torch.rand(1), strategy.evaluator.get_all_metrics()


def spy(strategy, loaders: set) -> None:
    for event in ("_after_training_epoch", "_after_eval_exp"):
        original = getattr(strategy, event)

        def wrapped(original=original, **kwargs):
            loaders.add(type(strategy.dataloader))
            original(**kwargs)

        setattr(strategy, event, wrapped)


def assert_same(stream, **options) -> None:
    stock = run(stream, resident=False, **options)
    ours = run(stream, resident=True, **options)
    for a, b in zip(stock[0], ours[0], strict=True):
        assert torch.equal(a, b)
    assert torch.equal(stock[1], ours[1]), "the global generator was drawn from differently"
    assert repr(dict(stock[2])) == repr(dict(ours[2])) and len(ours[2]) > 5


def test_naive_on_a_class_split() -> None:
    assert_same(class_split)


def test_naive_on_a_stream_without_task_labels() -> None:
    assert_same(unlabeled_split)


def test_multi_head_on_a_task_split() -> None:
    assert_same(task_split, model=lambda: MTSimpleMLP(input_size=SIDE * SIDE, hidden_size=12))


def test_pictures_through_deterministic_transforms() -> None:
    assert_same(picture_split, model=lambda: network(3))


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("stream", [class_split, picture_split])
def test_replay_in_any_plugin_order(stream, first) -> None:
    channels = 3 if stream is picture_split else 1
    assert_same(
        stream,
        model=lambda: network(channels),
        plugins=lambda: [ReplayPlugin(mem_size=25, batch_size=7, batch_size_mem=4)],
        first=first,
    )


def test_task_balanced_replay() -> None:
    assert_same(
        task_split,
        model=lambda: MTSimpleMLP(input_size=SIDE * SIDE, hidden_size=12),
        plugins=lambda: [
            ReplayPlugin(mem_size=20, batch_size=7, batch_size_mem=5, task_balanced_dataloader=True)
        ],
    )


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Cumulative, {}),
        (JointTraining, {}),
        (EWC, {"ewc_lambda": 1.0}),
        (GDumb, {"mem_size": 30}),
        (AGEM, {"patterns_per_exp": 20, "sample_size": 10}),
        (DER, {"mem_size": 30, "batch_size_mem": 8}),
        (ER_ACE, {"mem_size": 30, "batch_size_mem": 8}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_other_strategies(kind, options) -> None:
    assert_same(class_split, kind=kind, **options)


def test_several_data_plugins_and_periodic_evaluation() -> None:
    assert_same(class_split, plugins=lambda: [ReplayPlugin(mem_size=20), LwFPlugin()], eval_every=1)


@pytest.mark.parametrize(
    "options", [{"shuffle": False}, {"drop_last": True}, {"num_workers": 1}], ids=str
)
def test_options_of_train_are_respected(options) -> None:
    assert_same(class_split, train_options=options)


@pytest.mark.parametrize(
    "name, options",
    [
        ("split-digits", {"scenario": "task"}),
        ("permuted-digits", {"n_experiences": 2}),
        ("rotated-digits", {"n_experiences": 2}),
    ],
)
def test_streams_of_this_package(name, options) -> None:
    stream = functools.partial(load, name, fraction=0.2, **options)
    classes = stream().info.n_classes

    def model():
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, classes))

    assert_same(stream, model=model, plugins=lambda: [ReplayPlugin(mem_size=25)])


def test_evaluation_on_the_training_transform_group_is_separate() -> None:
    def stream():
        return nc_benchmark(
            Pictures(60),
            Pictures(30),
            n_experiences=2,
            shuffle=False,
            task_labels=False,
            train_transform=tv.ToTensor(),
            eval_transform=tv.Compose([tv.ToTensor(), tv.Normalize((0.5,) * 3, (0.1,) * 3)]),
        )

    assert_same(stream, model=lambda: network(3), eval_every=1)


def unequal_tasks():
    sizes = (41, 23, 9)
    return [
        as_task(tensors(n, n), label, tv.Normalize((0.5,), (2.0,)) if label == 1 else None)
        for label, n in enumerate(sizes)
    ]


def as_task(data, label, transform=None):
    from avalanche.benchmarks.utils.classification_dataset import (
        _make_taskaware_classification_dataset,
    )

    return _make_taskaware_classification_dataset(data, task_labels=label, transform=transform)


def loaders():
    a, b, c = unequal_tasks()
    joined = a.concat(b).concat(c)
    picked = joined.subset([70, 3, 50, 3, 20, 41, 64] * 4)
    yield (
        "task",
        TaskBalancedDataLoader(joined, batch_size=10, oversample_small_groups=True, shuffle=True),
    )
    yield "task-not-oversampled", TaskBalancedDataLoader(joined, batch_size=9, shuffle=True)
    yield "group", GroupBalancedDataLoader([a, b, c], batch_size=8, shuffle=True, drop_last=True)
    yield "subset", GroupBalancedDataLoader([picked, a], batch_size=6, oversample_small_groups=True)
    yield (
        "replay",
        ReplayDataLoader(
            a, picked, batch_size=5, batch_size_mem=3, oversample_small_tasks=True, shuffle=True
        ),
    )
    yield (
        "generator",
        GroupBalancedDataLoader(
            [a, b], batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(5)
        ),
    )
    yield "torch", torch.utils.data.DataLoader(joined, batch_size=7, shuffle=True)
    yield (
        "torch-generator",
        torch.utils.data.DataLoader(
            joined, batch_size=7, shuffle=True, generator=torch.Generator().manual_seed(5)
        ),
    )
    yield (
        "torch-weighted",
        torch.utils.data.DataLoader(
            joined,
            batch_size=7,
            sampler=torch.utils.data.WeightedRandomSampler(torch.arange(1.0, 74.0), 40),
        ),
    )
    yield "endless", GroupBalancedInfiniteDataLoader([a, b], batch_size=3, shuffle=True)


@pytest.mark.parametrize("name", [name for name, _ in loaders()])
def test_every_loader_yields_the_same_batches(name) -> None:
    batches = []
    for wrap in (lambda loader: loader, lambda loader: ResidentLoader(loader, Store(2**20), CPU)):
        torch.manual_seed(11)
        loader = wrap(dict(loaders())[name])
        taken = []
        for _ in range(2):  # epochs
            for i, batch in enumerate(loader):
                taken.append(batch)
                torch.rand(1)  # something else draws in between
                if i == 30:
                    break
        batches.append((taken, torch.rand(1), len(loader)))
    (stock, last, length), (ours, our_last, our_length) = batches
    assert len(stock) == len(ours) > 6 and length == our_length and torch.equal(last, our_last)
    for theirs, mine in zip(stock, ours, strict=True):
        assert len(theirs) == len(mine) == 3
        for a, b in zip(theirs, mine, strict=True):
            assert a.dtype == b.dtype and torch.equal(a, b)


def test_integer_and_half_precision_inputs_keep_their_type() -> None:
    for dtype in (torch.uint8, torch.float16, torch.int64):
        data = as_task(tensors(12, 0, dtype=dtype), 0)
        loader = TaskBalancedDataLoader(data, batch_size=5, shuffle=False)
        (x, *_), *_ = ResidentLoader(loader, Store(0), CPU)
        assert x.dtype == dtype


def test_domain_stream_of_whole_datasets() -> None:
    def stream():
        return benchmark_from_datasets(
            train=[as_task(tensors(33, i), 0) for i in range(2)],
            test=[as_task(tensors(14, 5 + i), 0) for i in range(2)],
        )

    assert_same(stream)


def test_no_message_where_everything_is_resident(caplog) -> None:
    with caplog.at_level(logging.DEBUG, logger="cl_strategies"):
        run(class_split, resident=True, plugins=lambda: [ReplayPlugin(mem_size=20)])
    assert not caplog.records

"""What is kept in memory, what is refused, and what is said about it."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import random
import warnings

import numpy as np
import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.benchmarks.classic.cmnist import PixelsPermutation
from avalanche.benchmarks.utils.classification_dataset import (
    _make_taskaware_classification_dataset,
)
from avalanche.benchmarks.utils.data_loader import (
    SingleDatasetDataLoader,
    TaskBalancedDataLoader,
)
from avalanche.training.plugins import SupervisedPlugin
from avalanche.training.supervised import Naive
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torchvision import transforms as tv

from cl_strategies.benchmarks.core.samples import TransformedTensors
from cl_strategies.errors import UserError
from cl_strategies.plugins import ResidentDataPlugin
from cl_strategies.plugins.data.flatten import NotResident, flatten
from cl_strategies.plugins.data.loader import ResidentLoader
from cl_strategies.plugins.data.store import Store

CPU = torch.device("cpu")
SIDE = 4


class Samples(Dataset):
    """Grey images; ``noise`` is called whenever one is read."""

    def __init__(self, n: int, *, noise=None, side=lambda i: SIDE) -> None:
        self.targets = [i % 4 for i in range(n)]
        self.noise, self.side = noise, side
        self.reads = 0

    def __getitem__(self, i: int):
        self.reads += 1
        pixels = np.full((self.side(i), self.side(i)), i % 250, dtype=np.uint8)
        if self.noise is not None:
            pixels = pixels + np.uint8(float(self.noise()) * 5)
        return Image.fromarray(pixels), self.targets[i]

    def __len__(self) -> int:
        return len(self.targets)


def stream(data: Dataset, *, transform=None, target_transform=None, classes: int = 4):
    transform = transform or tv.ToTensor()
    wrapped = _make_taskaware_classification_dataset(
        data, targets=data.targets, transform=transform, target_transform=target_transform
    )
    test = _make_taskaware_classification_dataset(
        Samples(16), targets=[i % 4 for i in range(16)], transform=tv.ToTensor()
    )
    return nc_benchmark(wrapped, test, n_experiences=2, shuffle=False, task_labels=False)


def strategy(*plugins) -> Naive:
    net = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 4))
    return Naive(
        model=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=8,
        train_epochs=2,
        eval_mb_size=8,
        plugins=list(plugins),
        evaluator=None,
    )


def train(benchmark, *plugins, evaluations: int = 1) -> list[torch.Tensor]:
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        naive = strategy(*plugins)
        for experience in benchmark.train_stream:
            naive.train(experience)
            for _ in range(evaluations):
                naive.eval(benchmark.test_stream)
    return [p.detach().clone() for p in naive.model.parameters()]


def halves(x):
    return x / 2


def composed(transform):
    return tv.Compose([tv.ToTensor(), transform])


def private_noise():
    generator = random.Random(0)
    return generator.random


REFUSED = {
    "lambda": (lambda: stream(Samples(40), transform=composed(halves)), "transform halves"),
    "erasing": (lambda: stream(Samples(40), transform=composed(tv.RandomErasing())), "no batched"),
    "target": (lambda: stream(Samples(40), target_transform=lambda y: 3 - y), "target transform"),
    "torch-noise": (lambda: stream(Samples(40, noise=torch.zeros(()).uniform_)), "draws random"),
    "numpy-noise": (lambda: stream(Samples(40, noise=np.random.rand)), "draws random"),
    "python-noise": (lambda: stream(Samples(40, noise=random.random)), "draws random"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_data_train_as_before_and_say_so_once(name, caplog) -> None:
    make, message = REFUSED[name]
    with caplog.at_level(logging.DEBUG, logger="cl_strategies"):
        ours = train(make(), ResidentDataPlugin())
    assert len(caplog.records) == 1
    assert caplog.records[0].name == "cl_strategies.data"
    assert message in caplog.text
    for a, b in zip(ours, train(make()), strict=True):
        assert torch.equal(a, b)


def test_noise_from_a_generator_of_its_own_is_noticed(caplog) -> None:
    train(stream(Samples(40, noise=private_noise())), ResidentDataPlugin())
    assert "a sample read again differs" in caplog.text


def test_data_above_the_limit_are_refused_with_both_sizes(caplog) -> None:
    train(stream(Samples(40)), ResidentDataPlugin(max_bytes=100))
    assert "MiB, more than max_bytes (0.0 MiB)" in caplog.text


def test_a_trusted_transform_of_your_own_is_kept(caplog) -> None:
    class Halved:
        deterministic = True

        def __call__(self, x):
            return x / 2

    with caplog.at_level(logging.DEBUG, logger="cl_strategies"):
        for transform in (Halved(), PixelsPermutation(torch.randperm(SIDE * SIDE))):
            train(stream(Samples(40), transform=composed(transform)), ResidentDataPlugin())
    assert not caplog.records


def test_each_sample_is_read_once_for_all_epochs_experiences_and_evaluations() -> None:
    data = Samples(400)
    train(stream(data), ResidentDataPlugin(), evaluations=3)
    probes = 2 * (1 + 3)  # the first sample and three to compare, in both experiences
    assert data.reads == 400 + probes


def test_the_limit_holds_and_the_oldest_data_go_first() -> None:
    store = Store(3 * 10 * SIDE * SIDE * 4)
    leaves = [Samples(10) for _ in range(5)]
    rows, to_tensor = np.arange(10), [tv.ToTensor()]
    for leaf in leaves:
        store.fetch(leaf, rows, to_tensor, CPU)
        assert store.bytes <= store.max_bytes
    assert store.bytes == store.max_bytes
    before = [leaf.reads for leaf in leaves]
    store.fetch(leaves[2], rows, to_tensor, CPU)
    store.fetch(leaves[0], rows, to_tensor, CPU)  # forgotten: replaces the least recently used
    store.fetch(leaves[2], rows, to_tensor, CPU)
    store.fetch(leaves[4], rows, to_tensor, CPU)
    after = [leaf.reads - old for leaf, old in zip(leaves, before, strict=True)]
    assert after == [11, 0, 0, 0, 0]


def test_floats_that_do_not_fit_are_kept_as_bytes_with_equal_batches() -> None:
    transform = tv.Compose([tv.ToTensor(), tv.Normalize((0.3,), (0.7,))])
    dataset = _make_taskaware_classification_dataset(
        Samples(40), task_labels=0, targets=[i % 4 for i in range(40)], transform=transform
    )
    stock = SingleDatasetDataLoader(dataset, batch_size=16)
    small = ResidentLoader(stock, Store(40 * SIDE * SIDE), CPU)
    assert small.table.sources[0].x.dtype == torch.uint8
    large = ResidentLoader(stock, Store(40 * SIDE * SIDE * 4), CPU)
    assert large.table.sources[0].x.dtype == torch.float32
    for a, b, c in zip(stock, small, large, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[0], c[0])


def test_a_part_of_a_data_set_fits_where_the_whole_does_not() -> None:
    dataset = _make_taskaware_classification_dataset(
        Samples(600), task_labels=0, targets=[i % 4 for i in range(600)], transform=tv.ToTensor()
    )
    part = dataset.subset([500, 3, 3, 77, 401])
    stock = TaskBalancedDataLoader(part, batch_size=2, shuffle=False)
    store = Store(5 * SIDE * SIDE * 4)
    for a, b in zip(stock, ResidentLoader(stock, store, CPU), strict=True):
        assert all(map(torch.equal, a, b))
    assert 0 < store.bytes <= store.max_bytes


def test_data_are_forgotten_with_their_data_set() -> None:
    store = Store(2**20)
    leaf = Samples(10)
    store.fetch(leaf, np.arange(10), [tv.ToTensor()], CPU)
    assert store.bytes == 10 * SIDE * SIDE * 4
    del leaf
    gc.collect()
    assert store.bytes == 0


def tensor_loader(data: TensorDataset, **options) -> SingleDatasetDataLoader:
    dataset = _make_taskaware_classification_dataset(
        data, task_labels=0, targets=data.tensors[1].tolist()
    )
    return SingleDatasetDataLoader(dataset, batch_size=4, **options)


def test_tensors_are_used_in_place_and_cannot_be_changed_through_a_batch() -> None:
    data = TensorDataset(torch.randn(10, 3), torch.arange(10))
    before = data.tensors[0].clone()
    store = Store(0)
    for shuffle in (True, False):
        loader = ResidentLoader(tensor_loader(data, shuffle=shuffle), store, CPU)
        assert loader.table.sources[0].x.data_ptr() == data.tensors[0].data_ptr()
        for _ in range(2):
            for x, y, t in loader:
                x.zero_()
                y.zero_()
                t.zero_()
    assert torch.equal(data.tensors[0], before)
    assert data.tensors[1].tolist() == list(range(10))
    assert store.bytes == 0


def test_computed_tensors_are_computed_once() -> None:
    calls = []

    def double(x):
        calls.append(len(x))
        return x * 2

    data = TransformedTensors(torch.randn(10, 3), torch.arange(10), torch.arange(10), double)
    store, stock = Store(2**20), tensor_loader(data)
    calls.clear()
    for _ in range(3):
        loader = ResidentLoader(stock, store, CPU)
    assert calls.count(10) == 1
    assert store.bytes == 10 * 3 * 4
    assert torch.equal(next(iter(loader))[0], data.tensors[0][:4])


def test_a_loader_made_by_a_later_plugin_is_taken_over_in_the_next_epoch() -> None:
    kinds = []

    class Late(SupervisedPlugin):
        def before_training_epoch(self, strategy, **kwargs):
            if not kinds:
                strategy.dataloader = TaskBalancedDataLoader(
                    strategy.adapted_dataset, batch_size=4, shuffle=True
                )

        def after_training_epoch(self, strategy, **kwargs):
            kinds.append(type(strategy.dataloader))

    naive = strategy(ResidentDataPlugin(), Late())
    naive.train(stream(Samples(40)).train_stream[0])
    assert kinds == [TaskBalancedDataLoader, ResidentLoader]


def test_the_stock_loaders_attributes_stay_reachable() -> None:
    data = TensorDataset(torch.randn(10, 3), torch.arange(10))
    loader = ResidentLoader(tensor_loader(data), Store(0), CPU)
    assert loader.batch_sizes == [4] and len(loader) == 3
    with pytest.raises(AttributeError):
        loader.nothing  # noqa: B018


class Endless(IterableDataset):
    def __iter__(self):
        yield from []


def test_loaders_with_a_mind_of_their_own_are_refused() -> None:
    class Custom(SingleDatasetDataLoader):
        def __iter__(self):
            yield from ()

    data = TensorDataset(torch.randn(10, 3), torch.arange(10))
    dataset = _make_taskaware_classification_dataset(data, task_labels=0, targets=[0] * 10)
    cases = [
        (Custom(dataset, batch_size=2), "own way of making"),
        (DataLoader(data, batch_size=None), "not batched"),
        (DataLoader(Endless(), batch_size=2), "not batched"),
        (
            DataLoader(data, collate_fn=lambda batch: batch),
            "function of their own",
        ),
        ([1, 2], "not known"),
        (SingleDatasetDataLoader(dataset.subset([]), batch_size=2), "no samples"),
    ]
    for loader, message in cases:
        with pytest.raises(NotResident, match=message):
            ResidentLoader(loader, Store(2**20), CPU)


def test_samples_of_different_shapes_are_refused() -> None:
    ragged = stream(Samples(40, side=lambda i: SIDE + i % 2)).train_stream[0].dataset
    with pytest.raises(NotResident, match="differ in shape"):
        ResidentLoader(TaskBalancedDataLoader(ragged, batch_size=2), Store(2**20), CPU)


def test_flattening_follows_subsets_concatenations_and_transforms() -> None:
    a, b = (TensorDataset(torch.randn(6, 2), torch.arange(6)) for _ in range(2))
    double = tv.Normalize((0.0,), (0.5,))
    first = _make_taskaware_classification_dataset(
        a, task_labels=0, targets=[0] * 6, transform=double
    )
    second = _make_taskaware_classification_dataset(b, task_labels=1, targets=[0] * 6)
    mixed = first.subset([4, 1]).concat(second.subset([5, 0, 3])).subset([3, 0, 2, 1])
    found = {
        (int(place), id(branch.leaf), int(row), len(branch.pipeline))
        for branch in flatten(mixed)
        for place, row in zip(branch.where, branch.rows, strict=True)
    }
    assert found == {(0, id(b), 0, 0), (1, id(a), 4, 1), (2, id(b), 5, 0), (3, id(a), 1, 1)}


def test_the_plugin_copies_and_pickles_without_its_data() -> None:
    plugin = ResidentDataPlugin(max_bytes=2**22)
    train(stream(Samples(40)), plugin)
    assert plugin.store.bytes > 0
    for other in (copy.deepcopy(plugin), pickle.loads(pickle.dumps(plugin))):
        assert other.max_bytes == 2**22 and other.store.bytes == 0
    assert plugin.state_dict() == {}


def test_a_negative_limit_is_a_user_error() -> None:
    with pytest.raises(UserError, match="max_bytes is -1: give an integer of at least 0"):
        ResidentDataPlugin(max_bytes=-1)

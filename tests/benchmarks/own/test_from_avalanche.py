"""Benchmarks of Avalanche under the stream contract."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from avalanche.benchmarks import (
    benchmark_from_datasets,
    class_incremental_benchmark,
    nc_benchmark,
    new_instances_benchmark,
    ni_benchmark,
    task_incremental_benchmark,
)
from avalanche.benchmarks.scenarios.generic_scenario import CLScenario
from avalanche.benchmarks.scenarios.online import (
    split_continuous_linear_decay_stream,
    split_online_stream,
)
from avalanche.benchmarks.utils import AvalancheDataset, as_classification_dataset
from torch.utils.data import TensorDataset

from cl_strategies.benchmarks import contract_violations, from_avalanche, split_digits
from cl_strategies.errors import UserError
from cl_strategies.plugins.data.store import Store
from cl_strategies.plugins.data.table import ResidentTable


def samples(count: int, seed: int) -> Any:
    x = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    data = TensorDataset(x, torch.arange(count) % 6)
    data.targets = (torch.arange(count) % 6).tolist()
    return data


TRAIN, TEST = samples(60, 0), samples(24, 1)
THEIRS, CHECKS = as_classification_dataset(TRAIN), as_classification_dataset(TEST)


def classes(**options: Any) -> Any:
    return nc_benchmark(TRAIN, TEST, n_experiences=3, seed=1, shuffle=False, **options)


MADE = {
    "nc": (lambda: classes(task_labels=False), "class", [8, 8, 8]),
    "nc with tasks": (lambda: classes(task_labels=True), "task", [8, 8, 8]),
    "nc from zero": (
        lambda: classes(task_labels=True, class_ids_from_zero_in_each_exp=True),
        "task",
        [8, 8, 8],
    ),
    "ni": (lambda: ni_benchmark(TRAIN, TEST, n_experiences=3, seed=1), "domain", [24, 24, 24]),
    "class_incremental": (
        lambda: class_incremental_benchmark(
            {"train": THEIRS, "test": CHECKS}, num_experiences=3, seed=1
        ),
        "class",
        [8, 8, 8],
    ),
    "task_incremental": (
        lambda: task_incremental_benchmark(
            class_incremental_benchmark(
                {"train": THEIRS, "test": CHECKS}, num_experiences=3, seed=1
            )
        ),
        "task",
        [8, 8, 8],
    ),
    "new_instances": (
        lambda: new_instances_benchmark(THEIRS, CHECKS, num_experiences=3, seed=1),
        "domain",
        [24, 24, 24],
    ),
    "from data sets, one test": (
        lambda: benchmark_from_datasets(
            train=[THEIRS.subset([0, 1, 6, 7]), THEIRS.subset([2, 8, 3, 9, 4, 5])], test=[CHECKS]
        ),
        "class",
        [8, 16],
    ),
}


@pytest.mark.parametrize("made", MADE)
def test_a_benchmark_of_avalanche_keeps_the_contract(made):
    make, scenario, sizes = MADE[made]
    theirs = make()
    ours = from_avalanche(theirs, name="theirs")
    assert contract_violations(ours) == []
    assert (ours.info.name, ours.info.scenario) == ("theirs", scenario)
    assert [len(one.dataset) for one in ours.test_stream] == sizes
    for mine, other in zip(ours.train_stream, theirs.train_stream, strict=True):
        assert len(mine.dataset) == len(other.dataset)
        assert torch.equal(mine.dataset[2][0], other.dataset[2][0])
    last = from_avalanche(theirs, order=[*range(1, len(sizes)), 0]).train_stream[-1]
    assert len(last.dataset) == len(next(iter(theirs.train_stream)).dataset)


def test_other_labels_leave_data_in_memory():
    data = from_avalanche(classes(task_labels=True)).train_stream[1].dataset
    table = ResidentTable([data], Store(2**20), torch.device("cpu"))
    assert len(table) == len(data)


@pytest.mark.parametrize("hidden", [True, False])
def test_an_online_stream_keeps_its_parts(hidden):
    theirs = classes(task_labels=False)
    stream = split_online_stream(
        theirs.train_stream, experience_size=6, seed=3, access_task_boundaries=not hidden
    )
    parts = [part.dataset for part in split_online_stream(theirs.train_stream, 6, seed=3)]
    ours = from_avalanche(theirs, stream, name="online")
    assert contract_violations(ours) == []
    assert ours.info.parts == (4, 4, 4)
    for mine, other in zip(ours.train_stream, parts, strict=True):
        assert list(mine.dataset.targets) == list(other.targets)
        assert torch.equal(mine.dataset[0][0], other[0][0])
        assert mine.access_task_boundaries is not hidden
    benchmark = CLScenario([split_online_stream(theirs.train_stream, 6), theirs.test_stream])
    assert from_avalanche(benchmark).info.parts == (4, 4, 4)


def test_streams_of_this_package_stay_what_they_are():
    ours = split_digits(n_experiences=2, fraction=0.1)
    assert from_avalanche(ours) is ours
    with pytest.raises(UserError, match="give its options where it is made"):
        from_avalanche(ours, order=[1, 0])


def test_what_cannot_be_wrapped_is_said():
    theirs = classes(task_labels=False)
    with pytest.raises(UserError, match="a int has no train_stream"):
        from_avalanche(3)
    with pytest.raises(UserError, match="3 training and 2 test experiences"):
        from_avalanche(theirs, test=list(theirs.test_stream)[:2])
    with pytest.raises(UserError, match="no targets: make it with as_classification_dataset"):
        from_avalanche(theirs, [SimpleNamespace(dataset=AvalancheDataset([TRAIN]))] * 3)
    whole = TensorDataset(torch.zeros(12, 4, dtype=torch.int64), torch.arange(12) % 6)
    with pytest.raises(UserError, match=r"of type torch.int64, .* such as torchvision's ToTensor"):
        from_avalanche(nc_benchmark(whole, whole, n_experiences=2, task_labels=False))
    mixed = split_continuous_linear_decay_stream(
        theirs.train_stream, experience_size=6, iters_per_virtual_epoch=2, beta=0.5, shuffle=False
    )
    with pytest.raises(UserError, match="do not say which experience they are of"):
        from_avalanche(theirs, mixed)
    parts = list(split_online_stream(theirs.train_stream, experience_size=6))
    with pytest.raises(UserError, match="differ in size"):
        from_avalanche(theirs, [parts[3], *parts[:3]])


def test_global_generators_are_left_alone(global_rngs):
    theirs = classes(task_labels=False)
    before = global_rngs()
    from_avalanche(theirs, fraction=0.5, order=3)
    assert global_rngs() == before
    assert np.random.get_state()[0] == "MT19937"

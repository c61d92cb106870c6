"""Memories that use all of their places, and say when these are too few for all classes."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import small
import torch
from avalanche.training.plugins import ReplayPlugin
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.models.heads import SingleHeadModel
from cl_strategies.plugins.exemplars.buffer.class_coverage import Coverage
from cl_strategies.plugins.exemplars.buffer.quota import Candidate, Queue, Record, fill
from cl_strategies.plugins.rehearsal.memories import equal_shares
from cl_strategies.registry import registry

ENTRIES = {entry.name: entry for entry in registry("strategies")}
IN_SAMPLES = [name for name, entry in ENTRIES.items() if "mem_size" in entry.defaults()]
IN_BYTES = [name for name, entry in ENTRIES.items() if "mem_bytes" in entry.defaults()]
MORE: dict[str, dict[str, Any]] = {
    "cim": {"masks": "center"},
    "lucir": {"balance_epochs": 0},
    "podnet": {"balance_epochs": 0},
    "mrdc": {"tolerance": 1e9, "classes": 1},
}


def stream(*counts: tuple[int, ...]) -> Any:
    """Experiences with so many images of each class, which have the ids 0, 1, 2..."""
    parts, label = [], 0
    generator = torch.Generator().manual_seed(0)
    for sizes in counts:
        ids = range(label, label + len(sizes))
        y = torch.tensor([k for k, size in zip(ids, sizes, strict=True) for _ in range(size)])
        parts.append((torch.rand(len(y), 3, 8, 8, generator=generator), y))
        label += len(sizes)
    return build_benchmark(parts, parts, name="sizes", scenario="class")


def trained(name: str, benchmark: Any, **options: Any) -> Any:
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = SingleHeadModel(backbone, nn.Linear(8, benchmark.n_classes))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    strategy = ENTRIES[name].load()(
        model=model,
        optimizer=optimizer,
        train_mb_size=8,
        evaluator=None,
        **{**MORE.get(name, {}), **options},
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    return strategy


def memory_of(strategy: Any) -> Any:
    holders = [strategy, *strategy.plugins]
    return next(h.storage_policy for h in holders if hasattr(h, "storage_policy"))


STORAGES = [
    (name, {"storage": storage} if "storage" in ENTRIES[name].defaults() else {})
    for name in IN_SAMPLES
    for storage in ("experience", "class", "reservoir")
    if storage == "class" or "storage" in ENTRIES[name].defaults()
]


@pytest.mark.parametrize(("name", "options"), STORAGES)
@pytest.mark.parametrize(
    "counts",
    [((9,), (9,), (9,)), ((9, 2), (9,)), ((9, 9), (2,)), ((2,), (2, 9))],
    ids=["even", "small-first", "small-last", "two-small"],
)
def test_a_memory_counted_in_samples_is_full(name, options, counts):
    strategy = trained(name, stream(*counts), mem_size=10, **options)
    assert len(memory_of(strategy).buffer) == 10


@pytest.mark.parametrize("name", IN_BYTES)
def test_a_memory_counted_in_bytes_has_no_room_for_another_exemplar(name):
    strategy = trained(name, stream((12, 12), (2, 12)), mem_bytes=1_500)
    memory = memory_of(strategy)
    stored = [record.cost for record in memory.records]
    assert 28 > len(stored) > 0
    assert memory.budget - memory.bytes_used < max(stored)


TOO_SMALL = [
    *((name, {"mem_size": 3}, "3 samples") for name in IN_SAMPLES),
    *((name, {"mem_bytes": 400}, "400 bytes") for name in IN_BYTES),
    ("agem", {"patterns_per_experience": 1}, "1 samples per experience"),
]


@pytest.mark.parametrize(("name", "options", "size"), TOO_SMALL)
def test_a_memory_too_small_for_each_class_is_told_once_with_its_size(name, options, size):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained(name, stream((3, 3), (3, 3), (3, 3)), **options)
    told = [str(w.message) for w in caught if "will not be replayed" in str(w.message)]
    assert len(told) == 1 and f"a memory of {size} holds none of" in told[0]


def test_every_memory_of_a_registered_strategy_can_say_that_it_is_too_small():
    benchmark = stream((3, 3))
    for name, entry in ENTRIES.items():
        if "class" not in entry.scenarios or getattr(entry.load(), "trains_jointly", False):
            continue
        strategy = trained(name, benchmark, **small.options(name, (3, 8, 8)))
        for plugin in strategy.plugins:
            if isinstance(plugin, ReplayPlugin) or hasattr(plugin, "storage_policy"):
                assert isinstance(plugin.storage_policy.coverage, Coverage)


@given(st.integers(0, 60), st.lists(st.integers(0, 20), max_size=8))
def test_shares_are_equal_and_leave_no_place_that_is_wanted(places, wanted):
    shares = equal_shares(places, wanted)
    assert sum(shares) == min(places, sum(wanted))
    assert all(0 <= share <= want for share, want in zip(shares, wanted, strict=True))
    unmet = [s for s, want in zip(shares, wanted, strict=True) if s < want]
    assert all(max(shares) - share <= 1 for share in unmet)


def queues(*sizes: tuple[int, ...]) -> list[Queue]:
    """Candidates of so many bytes in all."""
    records = [[Record(bytes(size - 16), 0, 0, 0.0) for size in group] for group in sizes]
    return [Queue(iter([Candidate(0.0, record) for record in group])) for group in records]


def test_the_last_bytes_go_to_the_next_exemplar_that_fits():
    found = queues((30, 90, 80, 40, 20), (50, 75, 76))
    fill(found, 150, per_group=False, pool=True)
    assert [[record.cost for record in queue.taken] for queue in found] == [[30, 40, 20], [50]]


@pytest.mark.parametrize(("per_group", "pool"), [(True, True), (False, False)])
def test_a_budget_of_each_group_is_left_as_its_paper_has_it(per_group, pool):
    found = queues((30, 90, 40), (50, 70, 60))
    fill(found, 75 if per_group else 150, per_group=per_group, pool=pool)
    assert [[record.cost for record in queue.taken] for queue in found] == [[30], [50]]


def test_exemplars_of_equal_size_are_not_read_in_search_of_smaller_ones():
    read = []

    def candidates():
        for number in range(100):
            read.append(number)
            yield Candidate(0.0, Record(bytes(34), 0, 0, 0.0))

    fill([Queue(candidates())], 120, per_group=False, pool=True)
    assert len(read) == 3  # two that fit, and the next

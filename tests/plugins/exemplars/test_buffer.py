"""The memory: its budget and its order."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils.classification_dataset import (
    _make_taskaware_classification_dataset,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.utils.data import Dataset
from torchvision import transforms as tv

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer.byte_budget import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.buffer.quota import RECORD_BYTES
from cl_strategies.plugins.exemplars.functional import herding_order
from cl_strategies.plugins.masking.boxes import CenterBoxes


class Pictures(Dataset):
    """Pillow images of different sizes, so of different costs."""

    def __init__(self, labels, seed=0, side=12, spread=0, tensor=False):
        rng = np.random.default_rng(seed)
        self.targets = [int(label) for label in labels]
        self.images = [
            rng.integers(0, 256, (*(side + rng.integers(0, spread + 1, 2)), 3), np.uint8)
            for _ in self.targets
        ]
        self.tensor = tensor

    def __getitem__(self, index):
        image = Image.fromarray(self.images[index])
        return tv.functional.to_tensor(image) if self.tensor else image, self.targets[index]

    def __len__(self):
        return len(self.targets)


RESIZE = tv.Compose([tv.Resize((8, 8)), tv.ToTensor()])


def data(labels, *, task=0, transform=RESIZE, **options):
    return _make_taskaware_classification_dataset(
        Pictures(labels, **options),
        task_labels=task,
        transform_groups={"train": (transform, None), "eval": (transform, None)},
    )


def strategy(dimensions=192):
    model = nn.Sequential(nn.Flatten(), nn.Linear(dimensions, 6), nn.ReLU(), nn.Linear(6, 4))
    return SimpleNamespace(model=model, device=torch.device("cpu"), eval_mb_size=16)


def payloads(buffer):
    return [record.payload for record in buffer.records]


COST = 12 * 12 * 3 + 7 + RECORD_BYTES  # of a 12x12 image, raw


def test_bytes_are_those_of_payload_header_label_and_box():
    buffer = ByteBudgetBuffer(mem_bytes=10 * COST, order="random")
    buffer.update_from_dataset(data([0, 1] * 20))
    assert (len(buffer.buffer), buffer.bytes_used) == (10, 10 * COST)
    assert buffer.counts() == {0: 5, 1: 5}
    report = buffer.report()
    assert report["bytes_per_exemplar"] == COST
    assert report["raw_bytes"] == 10 * 432
    assert report["compression_rate"] == pytest.approx(COST / 432)
    boxed = ByteBudgetBuffer(
        mem_bytes=10 * COST, codec="two-resolution", boxes=CenterBoxes(area=0.25)
    )
    boxed.update_from_dataset(data([0, 1] * 20))
    one = RECORD_BYTES + 7 + 16 + 3 * (36 + 36 - 4)  # header, box and sizes, pixels less hidden
    assert {record.cost for record in boxed.records} <= {one, one + 3 * 4}
    assert len(boxed.records) > 15


STEP = st.one_of(
    st.tuples(st.just("add"), st.lists(st.integers(0, 4), min_size=1, max_size=12)),
    st.tuples(st.just("resize"), st.integers(1, 12_000)),
    st.tuples(st.just("reload"), st.none()),
)


@settings(max_examples=80)
@given(
    budget=st.integers(200, 9_000),
    codec=st.sampled_from(["raw", "png", "downsample", "quantized:bits=2", "two-resolution"]),
    balance=st.sampled_from(["class", "experience", "none"]),
    order=st.sampled_from(["random", "reservoir"]),
    growing=st.booleans(),
    pool=st.booleans(),
    steps=st.lists(STEP, min_size=1, max_size=6),
)
def test_the_budget_is_never_exceeded_and_errors_change_nothing(
    budget, codec, balance, order, growing, pool, steps
):
    def make():
        return ByteBudgetBuffer(
            mem_bytes=budget,
            codec=codec,
            balance=balance,
            order=order,
            growing=growing,
            pool=pool,
            boxes=CenterBoxes(),
        )

    buffer = make()
    for seed, (action, value) in enumerate(steps):
        before = payloads(buffer), buffer.max_size, buffer.counts()
        try:
            if action == "add":
                buffer.update_from_dataset(data(value, seed=seed, side=5, spread=12))
            elif action == "resize":
                buffer.resize(None, value)
            else:
                state, buffer = buffer.state_dict(), make()
                buffer.load_state_dict(state)
        except UserError:
            assert (payloads(buffer), buffer.max_size, buffer.counts()) == before
        assert buffer.bytes_used <= buffer.budget
        assert buffer.bytes_used == sum(len(p) + RECORD_BYTES for p in payloads(buffer))


@settings(max_examples=40)
@given(
    budget=st.integers(COST, 30 * COST),
    groups=st.lists(st.integers(1, 12), min_size=1, max_size=5),
)
def test_pooled_bytes_are_used_up_and_shared_evenly(budget, groups):
    labels = [label for label, count in enumerate(groups) for _ in range(count)]
    buffer = ByteBudgetBuffer(mem_bytes=budget)
    buffer.update_from_dataset(data(labels))
    assert len(buffer.records) == min(len(labels), budget // COST)
    cut = [n for label, n in buffer.counts().items() if n < groups[label]]
    assert not cut or max(buffer.counts().values()) - min(cut) <= 1


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(3_000, 20_000), min_size=1, max_size=8),
    pool=st.booleans(),
    seed=st.integers(0, 50),
)
def test_the_order_is_stable_under_any_sequence_of_resizes(sizes, pool, seed):
    buffer = ByteBudgetBuffer(mem_bytes=30_000, order="random", pool=pool)
    buffer.update_from_dataset(data([0, 1, 2] * 10, seed=seed, side=5, spread=12))
    start = {label: of_class(buffer, label) for label in range(3)}
    for size in sizes:
        before = {label: of_class(buffer, label) for label in range(3)}
        buffer.resize(None, size)
        for label in range(3):
            kept = of_class(buffer, label)
            assert kept == before[label][: len(kept)] == start[label][: len(kept)]
    if not pool:  # then what is left depends on the smallest size alone
        other = ByteBudgetBuffer(mem_bytes=30_000, pool=False)
        other.load_state_dict({**buffer.state_dict(), "max_size": 30_000})
        other.resize(None, min(sizes))
        assert payloads(other) == payloads(buffer)


def of_class(buffer, label):
    return [record.payload for record in buffer.records if record.label == label]


def test_herding_is_kept_as_an_order_and_never_done_again():
    agent = strategy()
    dataset = data([0] * 20 + [1] * 20)
    buffer = ByteBudgetBuffer(mem_bytes=12 * COST, order="herding")
    buffer.update_from_dataset(dataset, agent)
    x = torch.stack([dataset.eval()[i][0] for i in range(40)])
    features = agent.model[:3](x).detach()
    for label, start in ((0, 0), (1, 20)):
        expected = herding_order(features[start : start + 20])[:6]
        found = [buffer.codec.decode(payload) for payload in of_class(buffer, label)]
        images = [leaf(dataset).images[start + i] for i in expected.tolist()]
        assert all(np.array_equal(a, b) for a, b in zip(found, images, strict=True))
    agent.model[1].weight.data.normal_()  # another network would herd otherwise
    buffer.update_from_dataset(data([2] * 20, seed=5), agent)
    assert buffer.counts() == {0: 4, 1: 4, 2: 4}
    for label, start in ((0, 0), (1, 20)):
        expected = herding_order(features[start : start + 20])[:4]
        images = [leaf(dataset).images[start + i] for i in expected.tolist()]
        found = [buffer.codec.decode(payload) for payload in of_class(buffer, label)]
        assert all(np.array_equal(a, b) for a, b in zip(found, images, strict=True))


def test_ranking_by_stored_images_sees_what_is_decoded():
    agent, seen = strategy(), []
    agent.model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    dataset = data([0] * 6)
    options = {"order": "herding", "codec": "downsample:eta=16", "rank_stored": True}
    buffer = ByteBudgetBuffer(mem_bytes=100_000, **options)
    buffer.update_from_dataset(dataset, agent)
    decode = [buffer.codec.decode(buffer.codec.encode(i)) for i in leaf(dataset).images]
    expected = torch.stack([RESIZE(Image.fromarray(pixels)) for pixels in decode])
    assert torch.equal(seen[-1], expected)


def leaf(dataset):
    node = dataset._flat_data
    while not isinstance(node, Pictures):
        (node,) = node._datasets
    return node


def test_the_network_is_left_in_its_modes_and_generators_untouched():
    agent = strategy()
    agent.model[2].eval()
    state = torch.random.get_rng_state()
    ByteBudgetBuffer(mem_bytes=9 * COST, order="closest-to-mean").update_from_dataset(
        data([0] * 9), agent
    )
    assert [module.training for module in agent.model] == [True, True, False, True]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_function_may_rank():
    backwards = lambda features: torch.arange(len(features)).flip(0)  # noqa: E731
    dataset = data([0] * 9)
    buffer = ByteBudgetBuffer(mem_bytes=3 * COST, order=backwards)
    buffer.update_from_dataset(dataset, strategy())
    found = [buffer.codec.decode(payload) for payload in payloads(buffer)]
    expected = leaf(dataset).images[:5:-1]
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_classes_smaller_than_their_quota_leave_bytes_to_others_if_pooled():
    labels = [0] * 2 + [1] * 30
    pooled, idle = (ByteBudgetBuffer(mem_bytes=12 * COST, pool=pool) for pool in (True, False))
    for buffer in (pooled, idle):
        buffer.update_from_dataset(data(labels))
    assert pooled.counts() == {0: 2, 1: 10}
    assert idle.counts() == {0: 2, 1: 6}


def test_a_growing_memory_gives_every_class_the_same():
    buffer = ByteBudgetBuffer(mem_bytes=3 * COST, growing=True)
    for step in range(3):
        buffer.update_from_dataset(data([2 * step, 2 * step + 1] * 8, seed=step))
        assert buffer.budget == 3 * COST * 2 * (step + 1)
    assert buffer.counts() == dict.fromkeys(range(6), 3)


def test_experiences_and_nothing_can_be_balanced():
    experiences, none = (
        ByteBudgetBuffer(mem_bytes=12 * COST, balance=balance, order="reservoir")
        for balance in ("experience", "none")
    )
    for buffer in (experiences, none):
        buffer.update_from_dataset(data([0] * 90, seed=1))
        buffer.update_from_dataset(data([1] * 10, seed=2))
    assert experiences.counts() == {0: 6, 1: 6}
    assert none.counts()[0] > 6
    assert sum(none.counts().values()) == 12


def test_a_reservoir_is_a_uniform_sample_of_everything_seen():
    tally = Counter()
    for seed in range(60):
        torch.manual_seed(seed)
        buffer = ByteBudgetBuffer(mem_bytes=6 * COST, balance="none", order="reservoir")
        for part in range(3):
            buffer.update_from_dataset(data([part] * 20, seed=part))
        tally.update(buffer.counts())
    assert sum(tally.values()) == 360
    assert all(80 < tally[part] < 160 for part in range(3))


def test_a_class_that_comes_twice_is_filled_from_both_experiences():
    buffer = ByteBudgetBuffer(mem_bytes=10 * COST, order="random")
    first, second = data([0] * 30, seed=1), data([0] * 30, seed=2)
    buffer.update_from_dataset(first)
    buffer.update_from_dataset(second)
    kept = [buffer.codec.decode(payload) for payload in payloads(buffer)]
    from_first = sum(any(np.array_equal(a, b) for b in leaf(first).images) for a in kept)
    assert (len(kept), from_first) == (10, 5)


def test_a_budget_too_small_for_one_exemplar_is_refused_and_nothing_changed():
    buffer = ByteBudgetBuffer(mem_bytes=COST - 1)
    with pytest.raises(UserError, match=f"takes {COST} bytes"):
        buffer.update_from_dataset(data([0, 1]))
    assert len(buffer.buffer) == 0 and buffer.counts() == {}
    buffer = ByteBudgetBuffer(mem_bytes=2 * COST)
    buffer.update_from_dataset(data([0, 1]))
    with pytest.raises(UserError, match="cannot hold one exemplar"):
        buffer.resize(None, COST - 1)
    assert (buffer.max_size, buffer.bytes_used) == (2 * COST, 2 * COST)
    unpooled = ByteBudgetBuffer(mem_bytes=2 * COST - 1, pool=False)
    with pytest.raises(UserError, match="for each of 2 groups"):
        unpooled.update_from_dataset(data([0, 1]))


@pytest.mark.parametrize(
    "options",
    [
        {"max_size": 0},
        {"max_size": 1.5},
        {"balance": "classes"},
        {"order": "herd"},
        {"codec": "two-resolution"},
        {"codec": "mp3"},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UserError):
        ByteBudgetBuffer(**{"max_size": 1000, **options})


def test_orders_by_features_need_a_strategy_with_such_a_layer():
    with pytest.raises(UserError, match="needs a strategy"):
        ByteBudgetBuffer(mem_bytes=1000, order="herding").update_from_dataset(data([0]))
    with pytest.raises(UserError, match="no layer 'head'"):
        ByteBudgetBuffer(mem_bytes=1000, order="herding", layer="head").update_from_dataset(
            data([0]), strategy()
        )
    convolution = SimpleNamespace(
        model=nn.Conv2d(3, 4, 3), device=torch.device("cpu"), eval_mb_size=2
    )
    with pytest.raises(UserError, match="feature vectors"):
        ByteBudgetBuffer(mem_bytes=1000, order="herding").update_from_dataset(
            data([0]), convolution
        )

"""The memory as data set and as checkpoint: what comes back, what is kept, what is refused."""

import copy
import gc
import pickle
import weakref
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.classification_dataset import (
    _make_taskaware_classification_dataset,
)
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as tv

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.buffer.byte_budget import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.buffer.quota import RECORD_BYTES
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


COST = 12 * 12 * 3 + 7 + RECORD_BYTES  # of a 12x12 image, raw


def leaf(dataset):
    node = dataset._flat_data
    while not isinstance(node, Pictures):
        (node,) = node._datasets
    return node


def test_task_labels_come_back_and_separate_classes():
    buffer = ByteBudgetBuffer(mem_bytes=100 * COST)
    buffer.update_from_dataset(data([0, 1] * 3, task=4))
    buffer.update_from_dataset(data([0, 1] * 3, task=7, seed=1))
    stored = buffer.buffer
    assert Counter(zip(stored.targets, stored.targets_task_labels, strict=True)) == {
        (0, 4): 3,
        (1, 4): 3,
        (0, 7): 3,
        (1, 7): 3,
    }
    x, y, task = stored[0]
    assert x.shape == (3, 8, 8) and (y, task) == (0, 4)
    joined = data([5] * 2, task=9).concat(stored)
    assert len(joined) == 14 and set(joined.targets_task_labels) == {4, 7, 9}


def test_streams_without_task_labels_work():
    plain = AvalancheDataset(
        [Pictures([0, 1] * 4)], data_attributes=[DataAttribute([0, 1] * 4, "targets")]
    ).replace_current_transform_group(RESIZE)
    buffer = ByteBudgetBuffer(mem_bytes=100 * COST)
    buffer.update_from_dataset(plain)
    assert len(buffer.buffer[0]) == 2
    with pytest.raises(UserError, match="task labels"):
        buffer.update_from_dataset(data([0]))


@pytest.mark.parametrize("tensor", [False, True])
def test_decoded_samples_are_those_of_the_stream(tensor):
    transform = None if tensor else RESIZE
    dataset = data([0, 1, 2], tensor=tensor, transform=transform)
    buffer = ByteBudgetBuffer(mem_bytes=100 * COST)
    buffer.update_from_dataset(dataset)
    stored = {y: x for x, y, _ in (buffer.buffer[i] for i in range(3))}
    for x, y, _ in (dataset[i] for i in range(3)):
        torch.testing.assert_close(stored[y], x, rtol=0, atol=1e-7)


def test_train_and_eval_transforms_are_kept_apart():
    dataset = _make_taskaware_classification_dataset(
        Pictures([0, 1]),
        task_labels=0,
        transform_groups={
            "train": (tv.Compose([tv.ToTensor(), tv.Normalize([0.5] * 3, [0.1] * 3)]), None),
            "eval": (tv.ToTensor(), None),
        },
    )
    buffer = ByteBudgetBuffer(mem_bytes=100 * COST)
    buffer.update_from_dataset(dataset.eval())
    stored = buffer.buffer
    assert stored.train()[0][0].min() < 0 <= stored.eval()[0][0].min()


def test_the_source_is_freed():
    dataset = data([0, 1] * 200, side=32)
    source = weakref.ref(leaf(dataset))
    images = weakref.ref(leaf(dataset).images[0])
    agent = strategy()
    buffer = ByteBudgetBuffer(
        mem_bytes=20_000, order="herding", codec="two-resolution", boxes=CenterBoxes()
    )
    buffer.update_from_dataset(dataset, agent)
    assert len(buffer.buffer[0][0]) == 3
    del dataset
    gc.collect()
    assert source() is None and images() is None
    size = len(pickle.dumps(buffer))
    assert buffer.bytes_used <= size < buffer.bytes_used + 8_000
    assert len(pickle.loads(pickle.dumps(buffer)).buffer) == len(buffer.buffer)


def test_workers_decode():
    buffer = ByteBudgetBuffer(mem_bytes=10 * COST, codec="png")
    buffer.update_from_dataset(data([0, 1] * 8))
    alone = torch.cat([x for x, *_ in DataLoader(buffer.buffer, batch_size=4)])
    with_workers = torch.cat([x for x, *_ in DataLoader(buffer.buffer, 4, num_workers=2)])
    assert torch.equal(alone, with_workers)


def test_a_checkpoint_continues_as_if_nothing_had_happened():
    buffer = ByteBudgetBuffer(mem_bytes=10 * COST, order="reservoir", balance="experience")
    buffer.update_from_dataset(data([0, 1] * 8))
    state = copy.deepcopy(buffer.state_dict())
    assert all(isinstance(v, torch.Tensor | int | str | bool) for v in state.values())
    other = ByteBudgetBuffer(mem_bytes=10 * COST, order="reservoir", balance="experience")
    other.load_state_dict(state)
    with pytest.raises(UserError, match="use_transforms"):
        _ = other.buffer
    for one in (buffer, other):
        torch.manual_seed(1)
        one.update_from_dataset(data([2] * 20, seed=3))
    assert buffer.records == other.records
    assert buffer.counts()[2] == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codec": "jpeg"}, "codec 'jpeg'"),
        ({"balance": "none"}, "balance"),
        ({"payloads": torch.zeros(5, dtype=torch.uint8)}, "damaged"),
        ({"lengths": torch.tensor([-3, 9])}, "damaged"),
        ({"checksum": 1}, "checksum"),
        ({"max_size": 3}, "more than their 3"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_nothing_changed(change, message):
    buffer = ByteBudgetBuffer(mem_bytes=10 * COST)
    buffer.update_from_dataset(data([0, 1] * 8))
    before = buffer.records
    with pytest.raises(UserError, match=message):
        buffer.load_state_dict({**buffer.state_dict(), **change})
    assert buffer.records == before
    assert len(buffer.buffer) == 10


def test_payloads_of_another_codec_are_refused_on_loading():
    made, other = (
        ByteBudgetBuffer(mem_bytes=10 * COST, codec="png"),
        ByteBudgetBuffer(mem_bytes=10 * COST),
    )
    made.update_from_dataset(data([0, 1] * 8))
    with pytest.raises(UserError, match="made by the codec png"):
        other.load_state_dict({**made.state_dict(), "codec": "raw"})
    assert other.records == []


def test_exemplars_of_version_0_1_are_loaded_under_the_codec_name_they_had():
    made, other = (ByteBudgetBuffer(mem_bytes=10 * COST, codec="quantized") for _ in range(2))
    made.update_from_dataset(data([0, 1] * 8))
    other.load_state_dict({**made.state_dict(), "codec": "quantised"})
    assert other.records == made.records


def test_data_that_are_no_images_are_refused_and_nothing_changed():
    buffer = ByteBudgetBuffer(mem_bytes=10 * COST)
    buffer.update_from_dataset(data([0, 1] * 8))
    before = buffer.records
    vectors = _make_taskaware_classification_dataset(
        torch.utils.data.TensorDataset(torch.randn(6, 10), torch.zeros(6, dtype=torch.int64)),
        targets=[0] * 6,
        task_labels=0,
    )
    with pytest.raises(UserError, match="cannot store a tensor of shape"):
        buffer.update_from_dataset(vectors)
    with pytest.raises(UserError, match="the exemplars so far were pillow"):
        buffer.update_from_dataset(data([3], tensor=True, transform=None))
    assert buffer.records == before


def test_mixed_transforms_are_refused():
    mixed = data([0]).concat(data([1], transform=tv.ToTensor()))
    with pytest.raises(UserError, match="different transforms"):
        ByteBudgetBuffer(mem_bytes=10 * COST).update_from_dataset(mixed)


def test_exemplars_cannot_be_put_in_by_assignment():
    with pytest.raises(UserError, match="post_adapt"):
        ByteBudgetBuffer(mem_bytes=1000).buffer = None

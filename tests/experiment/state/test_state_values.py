"""Which attributes of a plugin a state can hold, and how it refuses the others."""

from __future__ import annotations

import io
import logging
import random
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils import make_avalanche_dataset
from avalanche.core import SupervisedPlugin
from avalanche.training.storage_policy import ReservoirSamplingBuffer
from avalanche.training.utils import ParamData
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.capture import capture_state, restore_state, state_bytes
from cl_strategies.registry import registry
from cl_strategies.strategies import Naive


class Holder(SupervisedPlugin):
    """A plugin with whatever attributes a test gives it."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        vars(self).update(values)


class Stateful(SupervisedPlugin):
    """A plugin that says what its state is, and holds something no state could."""

    def __init__(self, count: int = 0) -> None:
        super().__init__()
        self.count = count
        self.lock = threading.Lock()

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "history": torch.arange(self.count)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        self.history = state["history"]


@pytest.fixture(scope="module")
def digits() -> Any:
    return registry("benchmarks")["split-digits"].load()(n_experiences=3, fraction=0.1)


def build(*plugins: Any) -> Any:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout(0.5))
    return Naive(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        train_mb_size=16,
        plugins=plugins,
    )


def holder_in(state: dict[str, Any]) -> dict[str, Any]:
    return next(plugin for plugin in state["plugins"] if plugin["class"] == "Holder")


def round_trip(plugin: Any, fresh: Any, digits: Any, experiences: int = 1) -> Any:
    """``plugin`` captured, saved, loaded and restored into ``fresh``; its new strategy."""
    file = io.BytesIO()
    torch.save(capture_state(build(plugin)), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    strategy = build(fresh)
    seen = list(digits.train_stream[:experiences])
    restore_state(strategy, state, experiences_seen=seen)
    return strategy


VALUES: dict[str, Any] = {
    "none": None,
    "truth": True,
    "integer": 2**100,
    "fraction": 0.1,
    "imaginary": 1 + 2j,
    "text": "words",
    "raw": b"\x00\xff",
    "dtype": torch.float16,
    "device": torch.device("cpu"),
    "size": torch.Size([2, 3]),
    "span": range(3, 9, 2),
    "sequence": [1, [2, (3, None)], ()],
    "group": {3, 1, 2},
    "frozen": frozenset({"a"}),
    "mapping": {0: "a", (1, 2): {"b": [1]}, "c": {}},
    "ordered": OrderedDict(b=1, a=2),
    "counts": Counter("aab"),
    "queue": deque([1, 2], maxlen=2),
    "scalar": np.float64(0.1),
}


def test_plain_values_and_containers_come_back_as_they_were(digits):
    fresh = Holder()
    round_trip(Holder(**VALUES), fresh, digits)
    for name, value in VALUES.items():
        assert vars(fresh)[name] == value, name
        assert type(vars(fresh)[name]) is type(value), name
    assert list(fresh.mapping) == list(VALUES["mapping"])
    assert fresh.queue.maxlen == 2


def test_tensors_and_arrays_come_back_as_they_were(digits):
    tensors = {
        "leaf": torch.arange(3.0, requires_grad=True),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "parameter": nn.Parameter(torch.ones(2)),
        "nested": {5: torch.zeros(0)},
    }
    arrays = {"ints": np.arange(6, dtype=">i2").reshape(2, 3), "truths": np.array([True, False])}
    fresh = Holder()
    round_trip(Holder(**tensors, **arrays), fresh, digits)
    assert torch.equal(fresh.leaf, tensors["leaf"]) and fresh.leaf.requires_grad
    assert fresh.half.dtype == torch.bfloat16
    assert isinstance(fresh.parameter, nn.Parameter)
    assert fresh.nested[5].shape == (0,)
    for name, array in arrays.items():
        np.testing.assert_array_equal(vars(fresh)[name], array)
        assert vars(fresh)[name].dtype == array.dtype


def test_a_view_is_saved_without_the_tensor_behind_it():
    state = capture_state(build(Holder(view=torch.zeros(1000)[:2])))
    node = holder_in(state)["attributes"]["view"]
    assert node["data"].untyped_storage().nbytes() == 8


def test_default_dictionaries_keep_their_factory(digits):
    fresh = Holder(known=defaultdict(lambda: [7]))
    saved = Holder(known=defaultdict(lambda: [7], {1: [2]}), simple=defaultdict(set, {1: {2}}))
    round_trip(saved, fresh, digits)
    assert fresh.known[1] == [2] and fresh.known["new"] == [7]
    assert fresh.simple["new"] == set()


def test_generators_go_on_where_they_were(digits):
    generators = {
        "torch_one": torch.Generator().manual_seed(3),
        "numpy_one": np.random.default_rng(3),
        "mersenne": np.random.Generator(np.random.MT19937(3)),
        "legacy": np.random.RandomState(3),
        "python_one": random.Random(3),
    }

    def draw(holder: Any) -> list[float]:
        return [
            torch.rand(1, generator=holder.torch_one).item(),
            holder.numpy_one.random(),
            holder.mersenne.random(),
            holder.legacy.rand(),
            holder.python_one.random(),
        ]

    saved, fresh, kept = Holder(**generators), Holder(), Holder(python_one=random.Random(0))
    draw(saved)
    own = kept.python_one
    round_trip(saved, fresh, digits)
    round_trip(saved, kept, digits)
    expected = draw(saved)
    assert draw(fresh) == expected
    assert draw(kept) == expected
    assert kept.python_one is own
    assert state_bytes(build(saved)) == 0


def test_references_to_parts_of_the_strategy_point_to_the_new_ones():
    saved, fresh = Holder(), Holder()
    strategy = build(saved)
    saved.strategy, saved.model, saved.optimizer = strategy, strategy.model, strategy.optimizer
    saved.layer, saved.weight = strategy.model[1], strategy.model[1].weight
    saved.plugins = [saved]
    state = capture_state(strategy)
    restored = build(fresh)
    restore_state(restored, state, experiences_seen=[])
    assert fresh.strategy is restored
    assert fresh.model is restored.model and fresh.optimizer is restored.optimizer
    assert fresh.layer is restored.model[1] and fresh.weight is restored.model[1].weight
    assert fresh.plugins == [fresh]
    assert state_bytes(strategy) == 0


def test_copies_of_the_model_come_back_frozen_as_they_were():
    saved, fresh = Holder(), Holder()
    strategy = build(saved)
    saved.teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout(0.5)).eval()
    saved.teacher[1].weight.requires_grad_(False)
    restored = build(fresh)
    restore_state(restored, capture_state(strategy), experiences_seen=[])
    assert fresh.teacher is not restored.model
    assert torch.equal(fresh.teacher[1].weight, saved.teacher[1].weight)
    assert not fresh.teacher.training and not fresh.teacher[2].training
    assert not fresh.teacher[1].weight.requires_grad and fresh.teacher[1].bias.requires_grad
    assert restored.model.training


def test_modules_of_a_plugin_are_filled_in_place(digits):
    saved, fresh = Holder(net=nn.Linear(2, 3)), Holder(net=nn.Linear(2, 3))
    own = fresh.net
    round_trip(saved, fresh, digits)
    assert fresh.net is own and torch.equal(own.weight, saved.net.weight)


def test_objects_with_a_state_dict_are_filled_in_place(digits):
    parameter = nn.Parameter(torch.zeros(1))
    saved = Holder(inner=torch.optim.Adam([parameter], lr=0.5))
    fresh = Holder(inner=torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=0.1))
    parameter.grad = torch.ones(1)
    saved.inner.step()
    round_trip(saved, fresh, digits)
    assert fresh.inner.param_groups[0]["lr"] == 0.5
    assert fresh.inner.state_dict()["state"][0]["step"] == 1


def test_a_plugin_with_a_state_dict_is_not_looked_into(digits):
    saved, fresh = Stateful(3), Stateful()
    round_trip(saved, fresh, digits)
    assert fresh.count == 3 and fresh.history.tolist() == [0, 1, 2]


def test_helpers_of_avalanche_are_walked_and_stay_shared(digits):
    data = ParamData("w", init_tensor=torch.arange(3.0))
    buffer = ReservoirSamplingBuffer(4)
    buffer.update_from_dataset(digits.train_stream[0].dataset)
    saved = Holder(first=buffer, second=[buffer], importance={"w": data}, empty=None)
    fresh = Holder()
    round_trip(saved, fresh, digits)
    assert fresh.first is fresh.second[0] is not buffer
    assert list(fresh.first.buffer.sample_ids) == list(buffer.buffer.sample_ids)
    for mine, theirs in zip(fresh.first.buffer, buffer.buffer, strict=True):
        assert torch.equal(mine[0], theirs[0]) and mine[1:] == theirs[1:]
    assert torch.equal(fresh.importance["w"].expand((5,)), data.expand((5,)))


def test_data_sets_keep_their_order_their_transforms_and_added_attributes(digits):
    dataset = digits.train_stream[1].dataset.subset([5, 2, 2, 9]).eval()
    saved = Holder(dataset=dataset, seen=digits.train_stream[0])
    fresh = Holder()
    round_trip(saved, fresh, digits, experiences=2)
    assert list(fresh.dataset.sample_ids) == list(dataset.sample_ids)
    assert fresh.dataset._flat_data._transform_groups.current_group == "eval"
    assert fresh.seen is digits.train_stream[0]


def test_functions_loaders_and_loggers_are_left_to_the_new_plugin(digits):
    def values() -> dict[str, Any]:
        return {
            "function": lambda: 0,
            "functions": [len, print],
            "loader": DataLoader(TensorDataset(torch.zeros(3))),
            "logger": logging.getLogger("x"),
            "kind": dict,
        }

    saved, fresh = Holder(**values()), Holder(**values())
    own = dict(vars(fresh))
    round_trip(saved, fresh, digits)
    assert all(vars(fresh)[name] is value for name, value in own.items())


class Strange:
    """Of a package that is not walked."""


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Strange(), r"Holder\.value is a .*Strange"),
        ({"a": [0, Strange()]}, r"Holder\.value\['a'\]\[1\] is a .*Strange"),
        (threading.Lock(), r"Holder\.value is a _thread"),
        (np.array(["text"]), r"Holder\.value is a numpy"),
        (TensorDataset(torch.zeros(2)), r"Holder\.value is a torch"),
        ([1, len], r"Holder\.value\[1\] stands among state"),
        (
            make_avalanche_dataset(TensorDataset(torch.zeros(2))),
            r"Holder\.value is a data set without sample_ids",
        ),
    ],
)
def test_anything_else_is_an_error_that_names_the_attribute(value, path):
    with pytest.raises(UserError, match=path) as error:
        capture_state(build(Holder(value=value)))
    assert "state_dict()" in str(error.value)
    assert "Holder" in str(error.value).partition("give")[2]


def test_a_test_experience_cannot_be_part_of_a_state(digits):
    with pytest.raises(UserError, match=r"Holder\.value is a"):
        capture_state(build(Holder(value=digits.test_stream[0])))


def test_a_module_without_a_counterpart_is_refused():
    state = capture_state(build(Holder(net=nn.Linear(2, 2))))
    with pytest.raises(UserError, match="holds a Linear, but the strategy has none"):
        restore_state(build(Holder()), state, experiences_seen=[])


def test_a_state_cannot_name_classes_of_other_packages():
    buffer = ReservoirSamplingBuffer(4)
    state = capture_state(build(Holder(buffer=buffer)))
    holder_in(state)["attributes"]["buffer"]["class"] = "subprocess:Popen"
    with pytest.raises(UserError, match="subprocess:Popen"):
        restore_state(build(Holder()), state, experiences_seen=[])


def test_exemplars_are_counted_by_their_payload(digits):
    dataset = digits.train_stream[0].dataset.subset([0, 1, 2])
    assert state_bytes(build(Holder(kept=dataset, again=torch.zeros(5)))) == 3 * (256 + 8) + 20
